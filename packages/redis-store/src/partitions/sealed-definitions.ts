/** Back from the definitions that a seal keeps to collections: what records in Redis are filed under now, whatever the configuration says. */
import { createHash } from 'node:crypto';
import type { Normalisation } from '@vault/crypto';
import { canonicalDefinitions, checkDefinitions } from '../records/collection-definition.js';
import type {
  CollectionDefinition,
  CollectionDefinitions,
  FieldDefinition,
  IndexDefinition,
} from '../records/collection-definition.js';
import { partitionsOf } from './partition.js';
import type { Partition } from './partition.js';
import { RecordCodec } from '../records/record-codec.js';
import type { RedisLink } from '../redis/redis-link.js';

/** A collection as records of it are filed. */
export interface FiledCollection {
  readonly name: string;
  readonly codec: RecordCodec;
  readonly partitions: readonly Partition[];
}

/**
 * Reads {@link canonicalDefinitions}. Fields that no index names are not in it; padding is taken
 * from the configuration.
 * @throws RangeError when the text is not of that form
 */
export function parseCanonicalDefinitions(
  canonical: string,
  configured: CollectionDefinitions,
): CollectionDefinitions {
  let definitions: CollectionDefinitions;
  try {
    const rows = JSON.parse(canonical) as readonly CanonicalCollection[];
    definitions = Object.fromEntries(
      rows.map((row) => [row[0], collectionOf(row, configured[row[0]])]),
    );
    checkDefinitions(definitions);
    // Whatever reads them otherwise than they stand there, such as a name that is a list.
    if (canonicalDefinitions(definitions) !== canonical) throw new RangeError('not canonical');
  } catch {
    throw new RangeError('the definitions in the seal cannot be read');
  }
  return definitions;
}

/** Whether a text can be read as definitions: a plaintext seal is anybody's, and may say anything. */
export function areCanonicalDefinitions(text: string): boolean {
  try {
    parseCanonicalDefinitions(text, {});
    return true;
  } catch {
    return false;
  }
}

/** Whether every collection that is in both has as many partitions in one as in the other; both canonical. */
export function areInSamePartitions(a: string, b: string): boolean {
  const counts = new Map(
    (JSON.parse(a) as readonly CanonicalCollection[]).map(([name, n]) => [name, n]),
  );
  return (JSON.parse(b) as readonly CanonicalCollection[]).every(
    ([name, count]) => (counts.get(name) ?? count) === count,
  );
}

const NORMALISATIONS: ReadonlySet<Normalisation> = new Set<Normalisation>(['text', 'none']);

type CanonicalCollection = readonly [
  name: string,
  partitions: number,
  indexes: readonly (readonly [
    name: string,
    kind: IndexDefinition['kind'],
    fields: readonly string[],
    normalisation: NonNullable<IndexDefinition['normalisation']>,
    transform: NonNullable<IndexDefinition['transform']> | null,
  ])[],
];

function collectionOf(
  [, partitions, rows]: CanonicalCollection,
  configured: CollectionDefinition | undefined,
): CollectionDefinition {
  const fields: Record<string, FieldDefinition> = {};
  const indexes: Record<string, IndexDefinition> = {};
  for (const [index, kind, names, normalisation, transform] of rows) {
    if (!NORMALISATIONS.has(normalisation)) throw new RangeError('no such normalisation');
    for (const name of names) {
      if (typeof name !== 'string') throw new RangeError('a field is named by a text');
      fields[name] = { type: 'string' };
    }
    indexes[index] = {
      kind,
      fields: names,
      normalisation,
      ...(transform === null ? {} : { transform }),
    };
  }
  const paddingBytes = configured?.paddingBytes;
  return { fields, indexes, partitions, ...(paddingBytes === undefined ? {} : { paddingBytes }) };
}

/** Collections with their partitions, in the order of their names. */
export function filedCollections(
  link: RedisLink,
  definitions: CollectionDefinitions,
): FiledCollection[] {
  return Object.entries(definitions)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, definition]) => ({
      name,
      codec: new RecordCodec(name, definition),
      partitions: partitionsOf(link, name, definition),
    }));
}

/** The partitions of several sets of collections, each name once. */
export function allPartitions(...sets: readonly (readonly FiledCollection[])[]): Partition[] {
  const byName = new Map<string, Partition>();
  for (const { partitions } of sets.flat()) {
    for (const partition of partitions) byName.set(partition.name, partition);
  }
  return [...byName.values()];
}

/** SHA-256 of canonical definitions, base64url: what views and fences hold. */
export function hashOfCanonical(canonical: string): string {
  return createHash('sha256').update(canonical).digest('base64url');
}
