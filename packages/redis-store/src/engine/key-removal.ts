/**
 * How the lines of a key go: at once where their places are only ours; where others may share one, they
 * are condemned first, and removed by a later call. No timer removes a line.
 */
// oxlint-disable no-await-in-loop -- a handful of keys, one place
import type { CustodyReport, KeyCustody, KeyId, Remnant } from '@vault/crypto';
import type { StoreLogger } from '../store-logger.js';
import type { MigrationContext } from './migration-context.js';
import { MigrationError } from '../migration-error.js';

/** A key that opens still, and is to go. */
export interface CondemnedUntil {
  readonly keyId: KeyId;
  /** ISO 8601. */
  readonly since: string;
  /** ISO 8601: from then on a call removes it. */
  readonly until: string;
}

/** What a deletion of keys did. */
export interface DeletionReport {
  /** No line of them is left in the places that the server writes. */
  readonly deletedKeys: readonly KeyId[];
  /** Marked, since others may share their place; they open as before. */
  readonly condemnedKeys: readonly CondemnedUntil[];
  /** Where halves of deleted keys are left, and why. */
  readonly notErased: readonly Remnant[];
}

export interface DeletionOptions {
  /** Without regard to others who may share a place, and to the grace. Default: `false`. */
  readonly now?: boolean;
}

export const NOTHING_DELETED: DeletionReport = {
  deletedKeys: [],
  condemnedKeys: [],
  notErased: [],
};

/**
 * @param isAsked whether somebody asks for it now: then what was condemned long enough goes
 * @throws {MigrationError} when one of them is in use, or cannot be removed
 */
export async function removeKeys(
  context: MigrationContext,
  keyIds: readonly KeyId[],
  { now = false, isAsked }: DeletionOptions & { readonly isAsked: boolean },
): Promise<DeletionReport> {
  const { custody, keeper, lock, deletionGraceMs } = context;
  // Whoever says that a key is inactive: what is written now is under this one.
  const used = keeper.keysInUse().find(({ id }) => keyIds.includes(id));
  if (used !== undefined) throw new MigrationError(`the key ${used.id} is in use`);
  const namedKeyIds = await keeper.namedKeyIds();
  // Seal or witness names them: a half that was put back without its label is a line of them, too.
  custody.admit(keyIds);
  const deletedKeys: KeyId[] = [];
  const condemnedKeys: CondemnedUntil[] = [];
  const notErased: Remnant[] = [];
  for (const id of keyIds) {
    // What was proven holds as long as nobody else may change the database.
    await lock.assertHeld();
    const isShared = !now && (await stands(context, id));
    if (isShared) await custody.condemn(id, Date.now(), { namedKeyIds });
    const condemned = isShared ? await condemnedUntil(context, id) : undefined;
    if (condemned !== undefined && !(isAsked && Date.parse(condemned.until) <= Date.now())) {
      condemnedKeys.push(condemned);
      continue;
    }
    const onlyCondemned = isShared && deletionGraceMs > 0;
    notErased.push(...(await custody.remove(id, { namedKeyIds, onlyCondemned })));
    deletedKeys.push(id);
  }
  return { deletedKeys, condemnedKeys, notErased };
}

/** Whether a line of the key stands where others may write, too. */
async function stands({ custody }: MigrationContext, id: KeyId): Promise<boolean> {
  const { halves } = await readHalves(custody);
  return halves.some(({ isShared, keyIds }) => isShared && keyIds.includes(id));
}

/** @throws {MigrationError} when the mark does not stand: who uses the key took it away */
async function condemnedUntil(
  { custody, deletionGraceMs }: MigrationContext,
  id: KeyId,
): Promise<CondemnedUntil> {
  const report = await readHalves(custody);
  const condemned = condemnedIn(report, deletionGraceMs).find(({ keyId }) => keyId === id);
  if (condemned === undefined) {
    throw new MigrationError(`the mark on key ${id} does not stand: another instance uses the key`);
  }
  return condemned;
}

/** @throws {MigrationError} when a half cannot be read: a line that is not seen is not one that is not there */
async function readHalves(custody: Pick<KeyCustody, 'load'>): Promise<CustodyReport> {
  const report = await custody.load();
  const unread = report.halves.find(({ status }) => status === 'unreadable');
  if (unread === undefined) return report;
  throw new MigrationError(
    `half ${unread.half} (${unread.source} ${unread.place}) cannot be read: ${unread.reason ?? 'no reason is known'}`,
  );
}

/** Condemned keys, as an operator sees them. */
export function condemnedIn(
  { condemned }: Pick<CustodyReport, 'condemned'>,
  graceMs: number,
): readonly CondemnedUntil[] {
  return condemned.map(({ keyId, sinceMs }) => ({
    keyId,
    since: new Date(sinceMs).toISOString(),
    until: new Date(sinceMs + graceMs).toISOString(),
  }));
}

/** One line of log for each thing that happened. */
export function sayDeletion(
  logger: StoreLogger,
  { deletedKeys, condemnedKeys, notErased }: DeletionReport,
): void {
  if (deletedKeys.length > 0) logger.info('Inactive keys are deleted', { keyIds: deletedKeys });
  for (const { keyId, until } of condemnedKeys) {
    logger.warn('A key is condemned, since others may share a place of its halves', {
      keyId,
      until,
      advice:
        'call deleteInactiveKeys again from then on; whoever uses the key takes the mark away',
    });
  }
  for (const remnant of notErased) {
    logger.warn('A half of a deleted key is left where the server could not erase it', {
      ...remnant,
    });
  }
}
