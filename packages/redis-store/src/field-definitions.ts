/** The fields of the collections as the seal keeps them: a start compares them, so that only a change of them costs a look at the records. */
import type { CollectionDefinitions, FieldType } from './collection-definition.js';

type CanonicalField = readonly [name: string, type: FieldType, isRequired: boolean];
type CanonicalRow = readonly [collection: string, fields: readonly CanonicalField[]];

/** A field whose definition changed. */
export interface FieldChange {
  readonly collection: string;
  readonly field: string;
  readonly before: FieldType;
  /** `undefined`: it is gone. */
  readonly after: FieldType | undefined;
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
          .map((field) => [
            field,
            fields[field]?.type ?? 'json',
            fields[field]?.optional === false,
          ]),
      ];
    });
  return JSON.stringify(rows);
}

function rowsOf(canonical: string): Map<string, readonly CanonicalField[]> {
  return new Map(JSON.parse(canonical) as readonly CanonicalRow[]);
}

/** These take any value. */
const TAKES_ANYTHING: ReadonlySet<FieldType> = new Set<FieldType>(['json', 'secret']);

/**
 * What changed between two sets of fields.
 * @param before `null`: not known, so every record may be of another form
 */
export function fieldChanges(before: string | null, after: string): FieldChanges {
  const now = rowsOf(after);
  if (before === null) return { doubtful: [...now.keys()], changed: [] };
  const doubtful = new Set<string>();
  const changed: FieldChange[] = [];
  const earlier = rowsOf(before);
  for (const [collection, fields] of now) {
    const old = new Map((earlier.get(collection) ?? []).map((row) => [row[0], row]));
    const own = new Map(fields.map((row) => [row[0], row]));
    for (const [field, type] of old.values()) {
      const is = own.get(field)?.[1];
      if (is === type) continue;
      changed.push({ collection, field, before: type, after: is });
      if (is === undefined || !TAKES_ANYTHING.has(is)) doubtful.add(collection);
    }
    const isNewlyRequired = ([field, , isRequired]: CanonicalField): boolean =>
      isRequired && old.get(field)?.[2] !== true;
    if (old.size > 0 && fields.some(isNewlyRequired)) doubtful.add(collection);
  }
  return { doubtful: [...doubtful], changed };
}

/** Whether what is written under `own` fits `all`: each of its fields is there and has the type that it has. */
export function areFieldsWithin(own: string, all: string | null): boolean {
  if (all === null) return true;
  const rows = rowsOf(all);
  return [...rowsOf(own)].every(([collection, fields]) => {
    const known = new Map((rows.get(collection) ?? []).map(([field, type]) => [field, type]));
    return fields.every(([field, type]) => known.get(field) === type);
  });
}
