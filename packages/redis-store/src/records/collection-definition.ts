/**
 * What a collection holds and how it is found. Definitions come from configuration, never from
 * Redis; the seal keeps a hash of them, and a change is a rekey under the same key.
 */
import { createHash } from 'node:crypto';
import { isName } from '@vault/crypto';
import type { Normalisation } from '@vault/crypto';
import { RESERVED_NAMES } from './reserved-names.js';

export const FIELD_TYPES = ['string', 'number', 'boolean', 'json', 'secret'] as const;
/** `secret` is a string or any JSON value that is never indexed and that a face of the server masks. */
export type FieldType = (typeof FIELD_TYPES)[number];

export interface FieldDefinition {
  readonly type: FieldType;
  /** May be absent. Default `true`: a credential store is told what it has. */
  readonly optional?: boolean;
  /** Says where the record's secrets are sent, or how safely. For who faces clients; nothing is stored differently. */
  readonly destination?: boolean;
}

/** Named functions from a value to the value that is indexed (see {@link TRANSFORMS}). */
export type TransformName = 'emailDomain' | 'lastFour';

export interface IndexDefinition {
  /** `unique`: at most one record has the value; only in a collection of one partition. */
  readonly kind: 'exact' | 'unique';
  /** One field, or several for a compound index. A record that lacks one of them is not in the index. */
  readonly fields: readonly string[];
  /** Default `text`. */
  readonly normalisation?: Normalisation;
  /** Applied to the value before normalisation; only with one field. */
  readonly transform?: TransformName;
}

export interface CollectionDefinition {
  readonly fields: Readonly<Record<string, FieldDefinition>>;
  readonly indexes: Readonly<Record<string, IndexDefinition>>;
  /** 1 (default) to 1024. */
  readonly partitions?: number;
  /** Records are padded to a multiple of this many bytes, 1 (default, none) to 65 536. */
  readonly paddingBytes?: number;
  /**
   * Values that records hold and `fields` has no more, or with another type, are dropped by the next
   * start, once they are kept in a file. Default `false`: such a start is refused.
   */
  readonly dropFields?: boolean;
}

export type CollectionDefinitions = Readonly<Record<string, CollectionDefinition>>;

export const PARTITIONS_MAX = 1024;

/** Each gives `undefined` where the value has no such part: the record is then not in the index. */
export const TRANSFORMS = {
  emailDomain: (value) => {
    const at = value.lastIndexOf('@');
    return at < 0 || at === value.length - 1 ? undefined : value.slice(at + 1);
  },
  lastFour: (value) => (value.length < 4 ? undefined : value.slice(-4)),
} satisfies Record<TransformName, (value: string) => string | undefined>;

const RESERVED = 'constructor or prototype';
const FIELD_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/**
 * Checks definitions before any I/O.
 * @throws RangeError naming the collection, field or index and what was expected
 */
export function checkDefinitions(definitions: CollectionDefinitions): void {
  for (const [collection, definition] of Object.entries(definitions)) {
    if (!isName(collection) || collection === 'meta' || RESERVED_NAMES.has(collection)) {
      throw new RangeError(
        `collection "${collection}": a name matches [a-z][A-Za-z0-9]*, and is not meta, ${RESERVED}`,
      );
    }
    const partitions = definition.partitions ?? 1;
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
      throw new RangeError(
        `collection "${collection}": partitions is an integer from 1 to ${PARTITIONS_MAX}`,
      );
    }
    for (const [field, { type }] of Object.entries(definition.fields)) {
      if (!FIELD_NAME.test(field) || field === 'id' || RESERVED_NAMES.has(field)) {
        throw new RangeError(`collection "${collection}": "${field}" cannot name a field`);
      }
      if (!FIELD_TYPES.includes(type)) {
        throw new RangeError(
          `collection "${collection}", field "${field}": the type is one of ${FIELD_TYPES.join(', ')}`,
        );
      }
    }
    for (const [index, { kind, fields, transform }] of Object.entries(definition.indexes)) {
      const where = `collection "${collection}", index "${index}"`;
      if (!isName(index) || RESERVED_NAMES.has(index)) {
        throw new RangeError(`${where}: a name matches [a-z][A-Za-z0-9]*, and is not ${RESERVED}`);
      }
      if (kind !== 'exact' && kind !== 'unique')
        throw new RangeError(`${where}: the kind is exact or unique`);
      if (kind === 'unique' && partitions > 1) {
        throw new RangeError(`${where}: a unique index needs a collection of one partition`);
      }
      if (fields.length === 0) throw new RangeError(`${where}: names at least one field`);
      if (transform !== undefined && !Object.hasOwn(TRANSFORMS, transform)) {
        throw new RangeError(
          `${where}: the transform is one of ${Object.keys(TRANSFORMS).join(', ')}`,
        );
      }
      if (transform !== undefined && fields.length > 1) {
        throw new RangeError(`${where}: a transform takes one field`);
      }
      for (const field of fields) {
        const type = definition.fields[field]?.type;
        if (type === undefined) throw new RangeError(`${where}: there is no field "${field}"`);
        if (type === 'secret' || type === 'json') {
          throw new RangeError(`${where}: a field of type ${type} is not indexed`);
        }
      }
    }
  }
}

/** The definitions that decide where a record is filed, in one canonical form: what the seal stores. */
export function canonicalDefinitions(definitions: CollectionDefinitions): string {
  const canonical = Object.keys(definitions)
    .toSorted()
    .map((collection) => {
      const definition = definitions[collection];
      const indexes = Object.entries(definition?.indexes ?? {})
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([index, { kind, fields, normalisation, transform }]) => [
          index,
          kind,
          fields,
          normalisation ?? 'text',
          transform ?? null,
        ]);
      return [collection, definition?.partitions ?? 1, indexes];
    });
  return JSON.stringify(canonical);
}

const rowsOf = (canonical: string): string[] =>
  (JSON.parse(canonical) as readonly unknown[]).map((row) => JSON.stringify(row));

/** Whether each collection of `own` stands just so among `all`; both as {@link canonicalDefinitions}. */
export function isWithin(own: string, all: string): boolean {
  const rows = new Set(rowsOf(all));
  return rowsOf(own).every((row) => rows.has(row));
}

/** SHA-256 of {@link canonicalDefinitions}, base64url. */
export function definitionsHash(definitions: CollectionDefinitions): string {
  return createHash('sha256').update(canonicalDefinitions(definitions)).digest('base64url');
}
