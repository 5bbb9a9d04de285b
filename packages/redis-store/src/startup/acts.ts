/** What a start may do to a database, one thing a round. */
export type Act =
  | 'create'
  | 'reseal'
  | 'import'
  | 'fields'
  | 'reindex'
  | 'rewrite'
  | 'scrub'
  | 'kept-files'
  | 'encrypt'
  | 'decrypt'
  | 'retire';
/** Acts whose failure is a failed migration. */
export const MIGRATIONS: ReadonlySet<Act> = new Set<Act>([
  'import',
  'reindex',
  'rewrite',
  'scrub',
  'encrypt',
  'decrypt',
]);
