// The rooms of a package: folders of src by concept, the lowest first. A file imports, types too, from its own room and
// from those before it. Files that lie in src itself stand in a room of their own name in brackets.

/** Package → its rooms: name, what is in it. */
export const ROOMS = {
  '@vault/redis-store': [
    ['(base)', 'errors, and the logger that a caller gives'],
    ['files', 'durable writes, archive files, what a killed process left in the data folder'],
    ['redis', 'connection, key names, scripts, scans, and the files in which Redis persists'],
    ['records', 'definitions of collections, the one validator, bytes of a record, index entries'],
    [
      'partitions',
      'scripts called in batches; records streamed; collections as they are indexed now',
    ],
    ['keys', 'the port through which keys come'],
    ['(options)', 'how a database is opened'],
    ['state', 'record of state, witness, fences, lock, processes: what the database is now'],
    ['collections', 'what a caller reads and writes'],
    ['audit', 'count and verify every record and index entry'],
    ['engine', 'changes of the whole database: encrypt, decrypt, rotate, reindex, delete keys'],
    ['import', 'put records of a backup in'],
    ['startup', 'what a start finds, decides and does'],
    ['recover', 'what an operator does to a database that is not served'],
    ['(top)', 'the package as callers see it'],
  ],
};

/** Package → file of src itself → its room; any other is in `(top)`. */
export const ROOT_FILES = {
  '@vault/redis-store': {
    'errors.ts': '(base)',
    'error-message.ts': '(base)',
    'migration-error.ts': '(base)',
    'store-logger.ts': '(base)',
    'open-options.ts': '(options)',
  },
};

/** The room of a file, by its path inside `src`. */
export function roomOf(packageName, pathInSrc) {
  const slash = pathInSrc.indexOf('/');
  if (slash >= 0) return pathInSrc.slice(0, slash);
  return ROOT_FILES[packageName]?.[pathInSrc] ?? '(top)';
}
