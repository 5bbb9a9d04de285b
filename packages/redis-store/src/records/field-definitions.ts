/** The fields of the collections as the seal keeps them: a start compares them, so that only a change of them costs a look at the records. */
import type { CollectionDefinitions, FieldDefinition, FieldType } from './collection-definition.js';

/** Short, since every process reads the seal once a second. */
const LETTERS = {
  string: 's',
  number: 'n',
  boolean: 'b',
  json: 'j',
  secret: 'x',
} as const satisfies Record<FieldType, string>;
type Letter = (typeof LETTERS)[FieldType];

/** `["port", "n"]`; with a third member where it is required. */
type CanonicalField = readonly [name: string, type: Letter, required?: 1];
type CanonicalRow = readonly [collection: string, fields: readonly CanonicalField[]];

/** A field whose definition changed. */
export interface FieldChange {
  readonly collection: string;
  readonly field: string;
  readonly wasSecret: boolean;
  /** Neither gone nor secret. */
  readonly isClear: boolean;
}

/** What comes of a change. */
export interface FieldChanges {
  /** Collections with records that may not fit any more. */
  readonly doubtful: readonly string[];
  /** Fields that are gone or have another type. */
  readonly changed: readonly FieldChange[];
}

/** All fields in one canonical form. */
export function canonicalFields(definitions: CollectionDefinitions): string {
  const rows = Object.keys(definitions)
    .toSorted()
    .map((collection): CanonicalRow => {
      const fields = definitions[collection]?.fields ?? {};
      return [
        collection,
        Object.keys(fields)
          .toSorted()
          .map((name) => rowOf(name, fields[name])),
      ];
    });
  return JSON.stringify(rows);
}

function rowOf(name: string, definition: FieldDefinition | undefined): CanonicalField {
  const letter = LETTERS[definition?.type ?? 'json'];
  return definition?.optional === false ? [name, letter, 1] : [name, letter];
}

function rowsOf(canonical: string): Map<string, readonly CanonicalField[]> {
  return new Map(JSON.parse(canonical) as readonly CanonicalRow[]);
}

/** @returns `undefined` where they are not known: a plaintext seal is anybody's, and may say anything */
function sealedRows(sealed: string | null): Map<string, readonly CanonicalField[]> | undefined {
  try {
    const rows: unknown = sealed === null ? undefined : JSON.parse(sealed);
    return areRows(rows) ? new Map(rows) : undefined;
  } catch {
    return undefined;
  }
}

function areRows(value: unknown): value is readonly CanonicalRow[] {
  return (
    Array.isArray(value) &&
    value.every(
      (row) =>
        Array.isArray(row) &&
        typeof row[0] === 'string' &&
        Array.isArray(row[1]) &&
        row[1].every((field) => Array.isArray(field) && typeof field[0] === 'string'),
    )
  );
}

/** These take any value. */
const TAKES_ANYTHING: ReadonlySet<Letter> = new Set<Letter>([LETTERS.json, LETTERS.secret]);

/**
 * What changed between two sets of fields.
 * @param before `null`: not known, so every record may be of another form
 */
export function fieldChanges(before: string | null, after: string): FieldChanges {
  const now = rowsOf(after);
  const earlier = sealedRows(before);
  if (earlier === undefined) return { doubtful: [...now.keys()], changed: [] };
  const doubtful = new Set<string>();
  const changed: FieldChange[] = [];
  for (const [collection, fields] of now) {
    const old = new Map((earlier.get(collection) ?? []).map((row) => [row[0], row]));
    const own = new Map(fields.map((row) => [row[0], row]));
    for (const [field, type] of old.values()) {
      const is = own.get(field)?.[1];
      if (is === type) continue;
      const isClear = is !== undefined && is !== LETTERS.secret;
      changed.push({ collection, field, wasSecret: type === LETTERS.secret, isClear });
      if (is === undefined || !TAKES_ANYTHING.has(is)) doubtful.add(collection);
    }
    const isNewlyRequired = ([field, , isRequired]: CanonicalField): boolean =>
      isRequired === 1 && old.get(field)?.[2] !== 1;
    if (old.size > 0 && fields.some(isNewlyRequired)) doubtful.add(collection);
  }
  return { doubtful: [...doubtful], changed };
}

/** Whether what is written under `own` fits `all`: each of its fields is there and has the type that it has. */
export function areFieldsWithin(own: string, all: string | null): boolean {
  const rows = sealedRows(all);
  if (rows === undefined) return true;
  return [...rowsOf(own)].every(([collection, fields]) => {
    const known = new Map((rows.get(collection) ?? []).map(([field, type]) => [field, type]));
    return fields.every(([field, type]) => known.get(field) === type);
  });
}
