/**
 * Rotation: a new key is written to both halves, confirmed by every live process, made active, and
 * every record is filed anew under it while the database serves. Then the old key opens nothing more.
 *
 * ```
 * encrypted(old) ──pending(new)──▶ append, read back ──all confirm──▶ rekeying(new, old) ──verified──▶ encrypted(new), old inactive
 * ```
 *
 * Each arrow is one change of the seal. A crash before *rekeying* leaves the pending key, which the
 * next rotation takes up instead of making another; a crash after it is finished by the next start,
 * or by any process that serves.
 */
import type { KeyId } from '@vault/crypto';
import { OperationRefusedError } from '../errors.js';
import { messageOf } from '../error-message.js';
import { appendAnnounced, appendRefusal } from './announce-key.js';
import { retireKeys } from './encrypt-decrypt.js';
import { NOTHING_DELETED, removeKeys, sayDeletion } from './key-removal.js';
import type { DeletionOptions, DeletionReport } from './key-removal.js';
import { removalObjection } from './key-needs.js';
import { backupsUnder } from './kept-files.js';
import type { MigrationContext } from './migration-context.js';
import { isRewriting } from './operation-driver.js';
import { finishRewriting } from './refile.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import { HEARTBEAT_MS, listedProcessIds, listProcesses, processNames } from '../state/processes.js';
import type { LiveProcess } from '../state/processes.js';

/** A process that lives beats, and looks at the seal, several times within this. */
export const CONFIRM_LIMIT_MS = HEARTBEAT_MS + 5000;
const CONFIRM_POLL_MS = 200;

export interface RotationOptions {
  /** How long living processes may take to prove that they have the new key, in ms: default 20 000. */
  readonly confirmWithinMs?: number;
  /** Refuse when another key is active by then: of several processes that find it old, one rotates. Default: whichever is. */
  readonly onlyIfActive?: KeyId;
  /** Gives up while processes are waited for: nothing was changed then. */
  readonly signal?: AbortSignal;
}

/** What a rotation did. */
export interface RotationReport {
  readonly activeKeyId: KeyId;
  /** Inactive now: it opens nothing any more. Its lines are kept until `deleteInactiveKeys`. */
  readonly previousKeyId: KeyId;
  readonly records: number;
}

/**
 * Rotates the key.
 * @throws {OperationRefusedError} when the conditions are not met (406): nothing was changed, but that
 *   a new key may stand in the halves, pending
 */
export async function rotateKey(
  context: MigrationContext,
  options: RotationOptions = {},
): Promise<RotationReport> {
  const { keeper, lock, logger } = context;
  const { state, keyId: previousKeyId, importing } = keeper.content;
  if (isRewriting(keeper.content)) {
    throw new OperationRefusedError(
      'a rewriting of all records is under way already: wait for its end; where it failed, vault-server status says what to do',
    );
  }
  if (state !== 'encrypted' || previousKeyId === null) {
    throw new OperationRefusedError('the database is not encrypted: there is no key to rotate');
  }
  if (importing !== null) throw new OperationRefusedError('an import is under way');
  if (options.onlyIfActive !== undefined && options.onlyIfActive !== previousKeyId) {
    throw new OperationRefusedError(`the active key is ${previousKeyId} by now`);
  }
  const activeKeyId = await pendingKey(context);
  await context.step('rotate-appended');
  if (keeper.content.pendingKeyId !== activeKeyId) {
    await keeper.change(lock, { pendingKeyId: activeKeyId });
  }
  await context.step('rotate-pending');
  await confirm(context, activeKeyId, options);
  await context.step('rotate-confirmed');
  await keeper.change(lock, {
    state: 'rekeying',
    keyId: activeKeyId,
    previousKeyId,
    pendingKeyId: null,
    activeSinceMs: Date.now(),
  });
  logger.info('A new key is active; records are filed anew', { activeKeyId, previousKeyId });
  await context.step('rotate-active');
  const records = await finishRewriting(context);
  return { activeKeyId, previousKeyId, records };
}

/**
 * The key of a rotation that did not come to its end, where its lines are there; else that of the secrets that an
 * operator supplied, where the server writes neither half; else a new pair.
 */
async function pendingKey(context: MigrationContext): Promise<KeyId> {
  const { keeper } = context;
  const { ring, supersededIds, diagnosis } = await keeper.reloadKeys();
  const { keyId, pendingKeyId } = keeper.content;
  if (keyId === null || ring.byId(keyId) === undefined) {
    throw new OperationRefusedError(
      `a half of the active key is not in its place: put it back first (vault-server keys put-back); ${diagnosis.join(' ')}`,
    );
  }
  // One with an earlier secret would be replaced at once.
  const isUsable = pendingKeyId !== null && !supersededIds.includes(pendingKeyId);
  if (isUsable && pendingKeyId !== keyId && ring.byId(pendingKeyId) !== undefined)
    return pendingKeyId;
  const supplied = suppliedKey(keeper);
  if (supplied !== undefined) return supplied;
  const refusal = await appendRefusal(context);
  if (refusal !== undefined)
    throw new OperationRefusedError(`no new key can be written: ${refusal}`);
  let id: KeyId;
  try {
    ({ id } = await appendAnnounced(context));
  } catch (error) {
    throw new OperationRefusedError(`the new key could not be written: ${messageOf(error)}`);
  }
  await keeper.reloadKeys();
  if (keeper.ring.byId(id) === undefined) {
    throw new OperationRefusedError(`the new key ${id} does not read back from its halves`);
  }
  return id;
}

/** @throws {OperationRefusedError} when it is one that was replaced before: whoever had that secret would have the key */
function suppliedKey({ content, custodyReport }: SealKeeper): KeyId | undefined {
  const { suppliedId } = custodyReport;
  if (suppliedId === undefined || suppliedId === content.keyId) return undefined;
  if (!content.inactiveKeyIds.includes(suppliedId)) return suppliedId;
  throw new OperationRefusedError(
    `the newest secrets give key ${suppliedId}, which was replaced already: give a new secret, and restart`,
  );
}

/**
 * Waits until every process that lives has proven that it has the key. One that stops beating
 * without having said goodbye is not taken for ended: it may come back and write. A heartbeat that
 * does not prove the active key is of nobody who can use the database: it is named, and not waited for.
 */
async function confirm(
  context: MigrationContext,
  pending: KeyId,
  { confirmWithinMs: withinMs = CONFIRM_LIMIT_MS, signal }: RotationOptions,
): Promise<void> {
  const { link, keeper, lock } = context;
  const active = keeper.content.keyId;
  const waiting = new Map<string, string>();
  const endsMs = Date.now() + withinMs;
  let unproven: readonly LiveProcess[] = [];
  for (;;) {
    // oxlint-disable no-await-in-loop -- processes answer in their own time
    const live = await listProcesses(link, keeper.ring);
    const listed = new Set(await listedProcessIds(link));
    // oxlint-enable no-await-in-loop
    unproven = live.filter(
      ({ provenKeyIds }) => !provenKeyIds.some((id) => id === active || id === pending),
    );
    for (const { identity, provenKeyIds } of live) {
      if (provenKeyIds.includes(pending)) waiting.delete(identity.id);
      else if (active !== null && provenKeyIds.includes(active))
        waiting.set(identity.id, `process ${identity.pid} on ${identity.host}`);
    }
    for (const id of waiting.keys()) if (!listed.has(id)) waiting.delete(id);
    if (waiting.size === 0) break;
    lock.check();
    if (Date.now() > endsMs || signal?.aborted === true) throw unconfirmed(pending, waiting);
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => {
      setTimeout(resolve, CONFIRM_POLL_MS);
    });
  }
  if (unproven.length === 0) return;
  context.logger.warn('Heartbeats that do not prove the active key are not waited for', {
    processes: processNames(unproven),
  });
}

function unconfirmed(pending: KeyId, waiting: ReadonlyMap<string, string>): OperationRefusedError {
  const names = [...waiting.values()].join(', ');
  return new OperationRefusedError(
    `the new key ${pending} was not confirmed by ${names}: the halves must be shared with every server, or that server be stopped; the active key was not changed`,
  );
}

/**
 * Deletes the lines of every inactive key, once nothing needs them, provably: at once where their places
 * are only ours; where others may share one, they are condemned, and deleted by a call after the grace.
 * @throws {OperationRefusedError} naming what still needs a key, or why that cannot be told
 */
export async function deleteInactiveKeys(
  context: MigrationContext,
  options: DeletionOptions = {},
): Promise<DeletionReport> {
  const { keeper, lock, logger } = context;
  const { state, importing, inactiveKeyIds } = keeper.content;
  if (inactiveKeyIds.length === 0) return NOTHING_DELETED;
  if (importing !== null) throw new OperationRefusedError('an import is under way');
  if (state === 'plaintext') return deleteRetired(context, options);
  if (state !== 'encrypted') {
    throw new OperationRefusedError(`the database is ${state}: wait until that has ended`);
  }
  const objection =
    (await backupsUnder(context.dataDir, inactiveKeyIds)) ??
    (await removalObjection(context, inactiveKeyIds));
  if (objection !== undefined)
    throw new OperationRefusedError(`inactive keys are kept: ${objection}`);
  await context.step('delete-inactive-proven');
  let report: DeletionReport;
  try {
    report = await removeKeys(context, inactiveKeyIds, { ...options, isAsked: true });
  } catch (error) {
    throw new OperationRefusedError(
      `not all lines of the inactive keys could be removed, try again: ${messageOf(error)}`,
    );
  }
  await context.step('delete-inactive-removed');
  const { keyId } = keeper.content;
  const { ring } = await keeper.reloadKeys();
  if (keyId === null || ring.byId(keyId) === undefined) {
    throw new OperationRefusedError(
      'lines of inactive keys are gone, but the halves cannot be read now: try again',
    );
  }
  // Both halves of it are where only an operator can take them away: `notErased` says where.
  const deletedKeys = report.deletedKeys.filter((id) => ring.byId(id) === undefined);
  const left = inactiveKeyIds.filter((id) => !deletedKeys.includes(id));
  if (deletedKeys.length > 0) await keeper.change(lock, { inactiveKeyIds: left });
  sayDeletion(logger, { ...report, deletedKeys });
  return { ...report, deletedKeys };
}

/** After *decrypt*: what its keys were kept for, because others may share a place, or Redis proved too little. */
async function deleteRetired(
  context: MigrationContext,
  options: DeletionOptions,
): Promise<DeletionReport> {
  const { kept, report } = await retireKeys(context, { ...options, isAsked: true });
  if (kept !== undefined && report.condemnedKeys.length === 0) {
    throw new OperationRefusedError(
      `the database is plaintext: its keys are deleted by the next start that finds everything on disk in Redis; now they are kept: ${kept}`,
    );
  }
  return report;
}
