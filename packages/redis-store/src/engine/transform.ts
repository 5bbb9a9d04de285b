/** Step 3 of *encrypt* and *decrypt*: every record of the manifest from one form to the other; idempotent, so that a resume just goes through again. */
import { join } from 'node:path';
import { isEnvelope, unpadJson } from '@vault/crypto';
import type { VaultKey } from '@vault/crypto';
import { RecordUnreadableError } from '../errors.js';
import { entriesWithout } from '../records/filed-entry.js';
import { decodeRecord } from '../records/json-record.js';
import type { WriteOp, WriteResult } from '../partitions/partition.js';
import { allPartitions } from '../partitions/sealed-definitions.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';
import { manifestPathOf, onlyKey } from './backup.js';
import { manifestHash, ManifestReader } from '../audit/manifest.js';
import type { ManifestEntry } from '../audit/manifest.js';
import type { MigrationContext } from './migration-context.js';
import { listNames, MigrationError } from '../migration-error.js';
import { countRecords, readRecords, WriteWindow } from '../partitions/record-stream.js';

export type Direction = 'encrypt' | 'decrypt';

/** Batches on their way to Redis while the next one is transformed. */
const WRITES_UNDER_WAY = 3;

/** What is to be done with one record: nothing, a write, or it is not as it must be. */
type Plan = WriteOp | 'leave' | 'differs';

/** Opens the manifest of the running migration. */
export async function openManifest(
  context: MigrationContext,
  key: VaultKey,
  backup: string,
): Promise<ManifestReader> {
  const path = manifestPathOf(join(context.dataDir, backup));
  const names = allPartitions(context.keeper.filed()).map(({ name }) => name);
  return ManifestReader.open(path, key, context.keeper.content.databaseId, names);
}

/**
 * @throws {MigrationError} naming records that are not in the manifest, differ from it, or are gone
 */
export async function transformRecords(
  context: MigrationContext,
  direction: Direction,
  key: VaultKey,
  backup: string,
): Promise<void> {
  const collections = context.keeper.filed();
  const manifest = await openManifest(context, key, backup);
  try {
    await transformAll(context, direction, key, manifest, collections);
  } finally {
    await manifest.close();
  }
}

async function transformAll(
  context: MigrationContext,
  direction: Direction,
  key: VaultKey,
  manifest: ManifestReader,
  collections: readonly FiledCollection[],
): Promise<void> {
  const writes = new WriteWindow(WRITES_UNDER_WAY);
  const total = await countRecords(collections);
  let done = 0;
  for await (const { collection, partition, ids, values } of readRecords(collections)) {
    const { entries, missing } = await manifest.align(partition.name, ids);
    failOnMissing(missing);
    const ops: WriteOp[] = [];
    const wrong: string[] = [];
    ids.forEach((id, i) => {
      const plan = planFor(collection, direction, key, id, values[i], entries[i]);
      if (plan === 'differs') wrong.push(`${collection.name} ${id}`);
      else if (plan !== 'leave') ops.push(plan);
    });
    if (wrong.length > 0) {
      throw new MigrationError(
        `records are not as they were when the migration began: ${listNames(wrong)}`,
      );
    }
    context.lock.check();
    const fence = context.keeper.fenceOf(partition);
    await writes.add(async () =>
      checkWritten(collection.name, ops, await partition.apply(fence, ops)),
    );
    done += ids.length;
    context.progress(direction, done, total);
    await context.step(`${direction}-batch`);
  }
  await writes.end();
  failOnMissing(await manifest.rest());
}

function failOnMissing(missing: readonly string[]): void {
  if (missing.length > 0) {
    throw new MigrationError(
      `records that were there when the migration began are gone: ${listNames(missing)}`,
    );
  }
}

function planFor(
  { codec }: FiledCollection,
  direction: Direction,
  key: VaultKey,
  id: string,
  stored: Buffer | undefined,
  entry: ManifestEntry | undefined,
): Plan {
  if (stored === undefined) return entry === undefined ? 'leave' : 'differs';
  if (entry === undefined) return 'differs';
  if (entry.kind === 'o') {
    return manifestHash(stored) === entry.hash ? 'leave' : 'differs';
  }
  const isSealed = isEnvelope(stored);
  const json = isSealed ? openedBy(codec, key, id, stored) : stored;
  if (json === undefined || manifestHash(json) !== entry.hash) return 'differs';
  if (isSealed === (direction === 'encrypt')) return 'leave';
  const record = decodeRecord(json);
  const values = record === undefined ? [] : codec.values(record);
  const plain = codec.file(values, undefined);
  if (direction === 'decrypt') {
    const remove = entriesWithout(codec.filedIn(stored), plain);
    return { id, expected: stored, value: unpadJson(json), add: plain, remove, mayRepeat: true };
  }
  const add = codec.file(values, key);
  const value = codec.encode(key, id, json, add);
  // Nobody writes plaintext any more.
  return { id, expected: stored, value, add, remove: plain, mayRepeat: true };
}

function openedBy(
  codec: FiledCollection['codec'],
  key: VaultKey,
  id: string,
  stored: Buffer,
): Buffer | undefined {
  try {
    const rules = { mayBePlaintext: false, mayBeEnvelope: true, byId: onlyKey(key) };
    return codec.open(rules, id, stored);
  } catch (error) {
    if (error instanceof RecordUnreadableError) return undefined;
    throw error;
  }
}

function checkWritten(
  collection: string,
  ops: readonly WriteOp[],
  results: readonly WriteResult[],
): void {
  results.forEach((result, i) => {
    if (result.status === 'done') return;
    const what = `${collection} ${ops[i]?.id}`;
    throw new MigrationError(
      result.status === 'unique'
        ? `${what} and ${result.holderId} have the same value in the unique index "${result.index}"`
        : `${what} was changed by somebody while the migration ran`,
    );
  });
}
