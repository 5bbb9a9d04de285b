/**
 * Every record filed anew: under changed definitions (other indexes, other partitions) with the same
 * key, or under a new key while the old one still opens. Idempotent; a concurrent write wins, since
 * it is made under the new view already.
 */
import { envelopeKeyId } from '@vault/crypto';
import type { VaultKey } from '@vault/crypto';
import { audit, PROBLEM_KINDS } from '../audit/audit.js';
import { openingRules } from '../state/opening-rules.js';
import { OperationRefusedError, RecordUnreadableError } from '../errors.js';
import { entriesWithout } from '../records/filed-entry.js';
import { decodeRecord } from '../records/json-record.js';
import { partitionNumber } from '../partitions/partition.js';
import type { Partition, WriteOp } from '../partitions/partition.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';
import { onlyKey } from './backup.js';
import type { MigrationContext } from './migration-context.js';
import { listNames, MigrationError, UniqueContradictionError } from '../migration-error.js';
import { countRecords, readRecords, WriteWindow } from '../partitions/record-stream.js';
import { provenSteps } from './proven-steps.js';
import { removeForeign } from './verify-migration.js';
import type { Problem } from '../audit/audit.js';

const WRITES_UNDER_WAY = 3;

/**
 * Begins a change of the definitions, unless it is under way already: from here on records are filed under both.
 * @param target canonical definitions of the configuration
 * @throws {MigrationError} for a collection that is gone from the configuration but has records, for
 *   a unique index that two records contradict, or where another change is under way
 */
export async function beginReindex(context: MigrationContext, target: string): Promise<void> {
  const { keeper, lock } = context;
  const { definitions, previousDefinitions, keyId } = keeper.content;
  const isUnderWay = previousDefinitions !== null;
  if (isUnderWay && target !== definitions && target !== previousDefinitions) {
    throw new MigrationError(
      'a change of the collections is under way: put the configuration back to what it was before or after that change',
    );
  }
  if (target !== definitions) {
    await checkDropped(keeper.filed(), target);
    await context.step('refile-begin');
    await keeper.change(lock, {
      state: keyId === null ? 'plaintext' : 'rekeying',
      previousKeyId: keyId,
      definitions: target,
      previousDefinitions: definitions,
    });
  }
  await context.step('refile-state-set');
}

/**
 * The rest of a rewriting, as the holder of the lock: every record under the active key and the definitions in
 * force, verified; then a previous key is inactive, unless a replica lags that would bring back records under it.
 * @returns how many records there are
 * @throws {OperationRefusedError} when the previous key opens still: call it again
 * @throws {StateStaleError} when Redis was restarted or failed over meanwhile: call it again
 */
export async function finishRewriting(context: MigrationContext): Promise<number> {
  const { keeper, lock } = context;
  const { keyId, previousKeyId, inactiveKeyIds } = keeper.content;
  await keeper.raiseFences();
  const { result: records, gap } = await provenSteps(context, { isPatient: false }, async () => {
    const count = await refileRecords(context);
    await context.step('refile-written');
    await verifyRefiled(context);
    return count;
  });
  await context.step('refile-verified');
  const isRotation = previousKeyId !== null && previousKeyId !== keyId;
  if (isRotation && gap?.kind === 'pending') {
    throw new OperationRefusedError(
      `all ${records} records are under the new key ${keyId}; the previous one opens until it is safe that none comes back, which is looked at again by itself: ${gap.why}`,
    );
  }
  await keeper.change(lock, {
    state: keyId === null ? 'plaintext' : 'encrypted',
    previousKeyId: null,
    previousDefinitions: null,
    inactiveKeyIds: isRotation ? [...inactiveKeyIds, previousKeyId] : inactiveKeyIds,
  });
  if (isRotation) {
    context.logger.info('Every record is under the new key; the previous one is inactive', {
      activeKeyId: keyId,
      previousKeyId,
      records,
    });
    if (gap !== undefined)
      context.logger.warn('Redis may bring back records under it', { cause: gap.why });
  }
  return records;
}

async function checkDropped(filed: readonly FiledCollection[], target: string): Promise<void> {
  const kept = new Set(
    (JSON.parse(target) as readonly (readonly [string])[]).map(([name]) => name),
  );
  const dropped = filed.filter(({ name }) => !kept.has(name));
  const counts = await Promise.all(dropped.map(async (collection) => countRecords([collection])));
  const full = dropped.filter((_, i) => counts[i] !== 0).map(({ name }) => name);
  if (full.length > 0) {
    throw new MigrationError(
      `collections are gone from the configuration but have records: ${listNames(full)}`,
    );
  }
}

async function refileRecords(context: MigrationContext): Promise<number> {
  const after = new Map(context.keeper.filed().map((collection) => [collection.name, collection]));
  const before = context.keeper.filedBefore() ?? [];
  const sources = [...before, ...after.values()].filter(isFirstOfItsPartitions());
  const total = await countRecords(sources);
  const writes = new WriteWindow(WRITES_UNDER_WAY);
  let done = 0;
  for await (const { collection, partition, ids, values } of readRecords(sources)) {
    const target = after.get(collection.name);
    if (target === undefined) continue;
    const stay: WriteOp[] = [];
    const moves: { readonly to: Partition; readonly op: WriteOp; readonly stored: Buffer }[] = [];
    ids.forEach((id, i) => {
      const stored = values[i];
      const to = target.partitions[partitionNumber(id, target.partitions.length)];
      if (stored === undefined || to === undefined) return;
      const op = refiledOp(context, target, collection, id, stored, to.name !== partition.name);
      if (op === undefined) return;
      if (to.name === partition.name) stay.push(op);
      else moves.push({ to, op, stored });
    });
    context.lock.check();
    await writes.add(async () => {
      await checkedApply(context, partition, stay);
      for (const { to, op, stored } of moves) {
        // oxlint-disable-next-line no-await-in-loop -- first there, then gone here
        await move(context, partition, to, op, stored);
      }
    });
    done += ids.length;
    context.progress('refile', done, Math.max(total, done));
    await context.step('refile-batch');
  }
  await writes.end();
  return done;
}

/** Old and new layout share partitions: each is read once. */
function isFirstOfItsPartitions(): (collection: FiledCollection) => boolean {
  const seen = new Set<string>();
  return ({ partitions }) => {
    const names = partitions.map(({ name }) => name).join();
    if (seen.has(names)) return false;
    seen.add(names);
    return true;
  };
}

/** @returns `undefined` when the record is filed as it should be */
function refiledOp(
  context: MigrationContext,
  { codec }: FiledCollection,
  before: FiledCollection,
  id: string,
  stored: Buffer,
  isMoving: boolean,
): WriteOp | undefined {
  const view = context.keeper.current();
  const filed = codec.filedIn(stored);
  // An index of another kind before, or gone now.
  if (before.codec !== codec) filed.push(...entriesWithout(before.codec.filedIn(stored), filed));
  let json: Buffer;
  try {
    json = codec.open(openingRules(view), id, stored);
  } catch (error) {
    if (!(error instanceof RecordUnreadableError)) throw error;
    return isMoving ? { id, expected: null, value: stored, add: [], remove: filed } : undefined;
  }
  const record = decodeRecord(json);
  const add = record === undefined ? [] : codec.entries(record, view.written.key);
  const remove = entriesWithout(filed, add);
  // In a rotation, what was written since under the new key is filed as it should be. Other
  // definitions are in no envelope: their entries are made sure of.
  const { key } = view.written;
  const isUnderActive = key !== undefined && envelopeKeyId(stored) === key.id;
  const isDone = isUnderActive && before.codec === codec && codec.isFiledUnder(stored, add);
  if (isDone && !isMoving) return undefined;
  const value = codec.encode(key, id, json, add);
  return { id, expected: stored, value, add, remove };
}

async function checkedApply(
  { keeper }: MigrationContext,
  partition: Partition,
  ops: readonly WriteOp[],
): Promise<void> {
  // What it makes of a record follows from the record alone: done twice it is as done once.
  const repeatable = ops.map((op) => ({ ...op, mayRepeat: true }));
  const results = await partition.apply(keeper.fenceOf(partition), repeatable);
  const found = results.flatMap((result, i) =>
    result.status === 'unique'
      ? [{ index: result.index, pair: `${ops[i]?.id} and ${result.holderId}` }]
      : [],
  );
  const [first] = found;
  if (first === undefined) return;
  const pairs = found.filter(({ index }) => index === first.index).map(({ pair }) => pair);
  throw new UniqueContradictionError(pairs, partition.collection, first.index);
}

async function move(
  context: MigrationContext,
  from: Partition,
  to: Partition,
  { id, value, add, remove }: WriteOp,
  stored: Buffer,
): Promise<void> {
  const there = (await to.read(id)) ?? null;
  await checkedApply(context, to, [{ id, expected: there, value, add, remove: [] }]);
  const gone = { id, expected: stored, value: null, add: [], remove: [...remove, ...add] };
  await checkedApply(context, from, [gone]);
}

/** Whether a record stands under the previous key and opens: then it should be under the new one. */
async function opensWith(
  { keeper }: MigrationContext,
  key: VaultKey | undefined,
  { collection: name, id, partition }: Problem,
): Promise<boolean> {
  const collection = keeper.filed().find((filed) => filed.name === name);
  const stored = await partition?.read(id);
  if (key === undefined || collection === undefined || stored === undefined) return false;
  try {
    collection.codec.open(
      { mayBePlaintext: false, mayBeEnvelope: true, byId: onlyKey(key) },
      id,
      stored,
    );
    return true;
  } catch (error) {
    if (error instanceof RecordUnreadableError) return false;
    throw error;
  }
}

/** Nothing is destroyed by it: while an envelope names a key, its lines are not deleted. */
function left({ logger }: MigrationContext, { collection, id, reason }: Problem): void {
  logger.error('A record cannot be read and was left as it is', { collection, id, reason });
}

async function verifyRefiled(context: MigrationContext): Promise<void> {
  const { written, before } = context.keeper.current();
  const activeKey = written.key;
  const previousKey = before?.key;
  const wrong: Problem[] = [];
  const foreign: Problem[] = [];
  const underOtherKeys: Problem[] = [];
  await audit({
    link: context.link,
    collections: context.keeper.filed(),
    rules: {
      mayBePlaintext: activeKey === undefined,
      mayBeEnvelope: activeKey !== undefined,
      byId: activeKey === undefined ? () => undefined : onlyKey(activeKey),
    },
    key: activeKey,
    progress: (done, total) => context.progress('verify', done, total),
    check: () => {
      context.lock.check();
      context.keeper.current();
    },
    onProblem: (problem) => {
      const isOtherKey = problem.reason === 'unknown-key' && previousKey !== activeKey;
      if (problem.kind === 'entry-foreign') foreign.push(problem);
      else if (isOtherKey) underOtherKeys.push(problem);
      else if (problem.kind === 'absent' || problem.kind === 'unreadable') left(context, problem);
      else wrong.push(problem);
    },
  });
  for (const problem of underOtherKeys) {
    // oxlint-disable-next-line no-await-in-loop -- only what is suspicious is looked at again
    if (await opensWith(context, previousKey, problem)) wrong.push(problem);
    else left(context, problem);
  }
  if (wrong.length > 0) {
    const names = wrong.map(
      ({ kind, collection, id }) => `${collection} ${id}: ${PROBLEM_KINDS[kind]}`,
    );
    throw new MigrationError(`verification found ${listNames(names)}`);
  }
  await removeForeign(context, foreign);
}
