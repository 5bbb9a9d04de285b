/** Back from the definitions that a seal keeps to collections: what records in Redis are filed under now, whatever the configuration says. */
import { createHash } from 'node:crypto';
import { checkDefinitions } from '../records/collection-definition.js';
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
  } catch {
    throw new RangeError('the definitions in the seal cannot be read');
  }
  checkDefinitions(definitions);
  return definitions;
}

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
    for (const name of names) fields[name] = { type: 'string' };
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
