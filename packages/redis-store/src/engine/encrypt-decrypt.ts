/** The migrations *encrypt* and *decrypt*, as steps between which a crash may come: each step can be done again. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { KeyId, VaultKey } from '@vault/crypto';
import { countRecords } from '../partitions/record-stream.js';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import type { DatabaseState } from '../state/database-state.js';
import { messageOf } from '../error-message.js';
import { isTombstone, makeTombstone } from '../state/seal.js';
import type { SealContent, SealedMigration, Tombstone } from '../state/seal.js';
import type { StoreLogger } from '../store-logger.js';
import { freeBackupName, manifestPathOf, writeBackup } from './backup.js';
import { checkFreeSpace } from './free-space.js';
import { backupsUnder } from './kept-files.js';
import { removalObjection } from './key-needs.js';
import { NOTHING_DELETED, removeKeys, sayDeletion } from './key-removal.js';
import type { DeletionOptions, DeletionReport } from './key-removal.js';
import type { MigrationContext } from './migration-context.js';
import { provenBackups, removeBackups } from './proven-backups.js';
import { provenSteps } from './proven-steps.js';
import { finishScrubbing, leftovers } from './scrub.js';
import { sealedFromPlaintext } from './sealed-from-plaintext.js';
import { transformRecords } from './transform.js';
import type { Direction } from './transform.js';
import { verifyMigration } from './verify-migration.js';

/** What the seal says when a migration goes back because its backup could not be written. */
const STATE_BEFORE = { plaintext: 'plaintext', encrypted: 'encrypted' } as const;

/** From plaintext, or from the middle of a migration, to records under `key` and files not yet scrubbed. */
export async function encryptDatabase(
  context: MigrationContext,
  key: VaultKey,
  collections: CollectionDefinitions,
): Promise<void> {
  await begin(context, 'encrypt', key, (migration) =>
    context.keeper.content.keyId === null
      ? fromPlaintext(context, key, migration, collections)
      : Promise.resolve(fromSealed(context, 'encrypting', key, migration)),
  );
  const { records, isSafe } = await transformAndVerify(context, 'encrypt', key);
  await context.step('encrypt-verified');
  await context.keeper.change(context.lock, { state: 'scrubbing' });
  // The backup is not named: the next step deletes it.
  const done =
    records === 0
      ? 'The database is encrypted from its first record on'
      : 'All records are encrypted and verified';
  context.logger.info(done, { keyId: key.id, ...(records > 0 && { records }) });
  await finishScrubbing(context, key, isSafe);
}

/** To plaintext; the key goes only when nothing needs it any more, provably. */
export async function decryptDatabase(context: MigrationContext, key: VaultKey): Promise<void> {
  const { keeper, lock, link } = context;
  await begin(context, 'decrypt', key, (migration) =>
    Promise.resolve(fromSealed(context, 'decrypting', key, migration)),
  );
  await transformAndVerify(context, 'decrypt', key);
  await context.step('decrypt-verified');
  const { databaseId, epoch, inactiveKeyIds, files } = keeper.content;
  const keyIds = [...inactiveKeyIds, key.id];
  const retirement = { databaseId, keyIds, files, epoch: epoch + 1 };
  const retired = makeTombstone(key, link.names.prefix, retirement);
  await keeper.change(lock, {
    state: 'plaintext',
    keyId: null,
    activeSinceMs: null,
    inactiveKeyIds: keyIds,
    retired,
    // Whoever encrypts it again switches it on. The confirmation that a pin asks for was given.
    origin: 'switched-on',
    pinned: false,
  });
  await context.step('decrypt-sealed');
  await retireKeys(context);
}

/** What became of retired keys. */
export interface Retirement {
  /** Why any of them is kept. */
  readonly kept: string | undefined;
  readonly report: DeletionReport;
}

/**
 * Deletes the files of *decrypt*, and the lines of the keys that are retired, once Redis provably
 * has the plaintext on disk. Asked again at each start in state plaintext until it succeeds. Keys in a
 * place that others may share are only condemned, until somebody asks for their deletion after the grace.
 */
export async function retireKeys(
  context: MigrationContext,
  options: DeletionOptions & { readonly isAsked: boolean } = { isAsked: false },
): Promise<Retirement> {
  const { keeper, lock, link, dataDir, logger } = context;
  const { inactiveKeyIds } = keeper.content;
  if (inactiveKeyIds.length === 0) return keepAll(undefined);
  const keyIds = await certainlyInactive(context);
  if (keyIds.length === 0) return keepAll('no key signed that they are not needed any more');
  const objection = await removalObjection(context, keyIds);
  if (objection !== undefined) return keepAll(objection, logger);
  await context.step('decrypt-durable');
  await removeBackups(dataDir, await leftovers(dataDir, await signedFiles(context)));
  // Values that a change of the fields dropped, a database that was put aside: they open with these keys alone.
  const needing = await backupsUnder(dataDir, keyIds);
  if (needing !== undefined) return keepAll(needing, logger);
  await keeper.noteRemoval(keyIds);
  let report: DeletionReport;
  try {
    report = await removeKeys(context, keyIds, options);
  } catch (error) {
    // Its records are plaintext, and served; the next start removes it.
    return keepAll(`the keys could not be removed from their halves: ${messageOf(error)}`, logger);
  }
  for (const id of report.deletedKeys) {
    // oxlint-disable-next-line no-await-in-loop -- a handful of keys
    await link.command('DEL', link.names.encryptions(id));
  }
  await context.step('decrypt-keys-removed');
  const left = keyIds.filter((id) => !report.deletedKeys.includes(id));
  await keeper.change(lock, { migration: null, files: [], inactiveKeyIds: left });
  // What is said of halves from here on is said of those that are left.
  await keeper.reloadKeys();
  sayDeletion(logger, report);
  if (left.length === 0)
    logger.info('The database is plaintext, and its keys are deleted', { keyIds });
  const [condemned] = report.condemnedKeys;
  if (condemned === undefined) return { kept: undefined, report };
  const kept = `others may share a place of their halves: they are condemned until ${condemned.until}; call deleteInactiveKeys from then on`;
  return { kept, report };
}

/**
 * Keys of a plaintext seal, which is anybody's, that are certainly inactive: the last of them signed them
 * away itself, this machine knew it, or their removal began already.
 */
async function certainlyInactive(context: MigrationContext): Promise<readonly KeyId[]> {
  const { keeper } = context;
  const { inactiveKeyIds } = keeper.content;
  const { inactiveKeyIds: known = [] } = await keeper.belief();
  const certain = new Set([...known, ...(signedRetirement(context)?.keyIds ?? [])]);
  const removing = await keeper.notedRemoval();
  const named = inactiveKeyIds.filter((id) => certain.has(id));
  return [...new Set([...removing, ...named])];
}

/** What the last key signed when the database left it, as far as that can be proven still. */
function signedRetirement({ keeper, link }: MigrationContext): Tombstone | undefined {
  const { retired, databaseId } = keeper.content;
  const isSigned =
    retired !== null && isTombstone(retired, link.names.prefix, databaseId, keeper.ring);
  return isSigned ? retired : undefined;
}

/**
 * Files of migrations that the last key signed away. By now another one may have such a name: only
 * what was made under those keys counts.
 */
async function signedFiles(context: MigrationContext): Promise<readonly string[]> {
  const { keeper, dataDir } = context;
  const { files = [], keyIds = [] } = signedRetirement(context) ?? {};
  const keys = keyIds.map((id) => keeper.ring.byId(id)).filter((key) => key !== undefined);
  return provenBackups(dataDir, files, keeper.content.databaseId, keys);
}

function keepAll(kept: string | undefined, logger?: StoreLogger): Retirement {
  logger?.warn('The keys are kept, although the database is plaintext', { cause: kept });
  return { kept, report: NOTHING_DELETED };
}

/** Steps 1 and 2: state, fences, backup, manifest. A resume, or a change of mind, takes over what is complete. */
async function begin(
  context: MigrationContext,
  direction: Direction,
  key: VaultKey,
  sealed: (migration: SealedMigration) => Promise<Partial<SealContent>>,
): Promise<void> {
  const { keeper, lock } = context;
  const before = keeper.content;
  const state: DatabaseState = direction === 'encrypt' ? 'encrypting' : 'decrypting';
  const migration = await plannedMigration(context, direction, before);
  if (!migration.isBackedUp) await checkFreeSpace(context);
  await context.step('begin');
  if (before.state !== state || before.migration?.backup !== migration.backup) {
    await keeper.change(lock, await sealed(migration));
  } else {
    await keeper.raiseFences();
  }
  await context.step('state-set');
  if (migration.isBackedUp) return;
  try {
    await writeBackup(context, key, migration);
  } catch (error) {
    await goBack(context, migration, before);
    throw error;
  }
  await context.step('backup-written');
  await keeper.change(lock, { migration: { ...migration, isBackedUp: true } });
  await context.step('backup-sealed');
}

/** The seal of *encrypt* that comes from plaintext. */
async function fromPlaintext(
  context: MigrationContext,
  { id: keyId }: VaultKey,
  migration: SealedMigration,
  collections: CollectionDefinitions,
): Promise<Partial<SealContent>> {
  const { keeper } = context;
  return sealedFromPlaintext({
    files: await signedFiles(context),
    belief: await keeper.belief(),
    removing: await keeper.notedRemoval(),
    collections,
    records: await countRecords(keeper.filed()),
    keyId,
    migration,
    nowMs: Date.now(),
  });
}

/** What differs from a seal that was signed. */
function fromSealed(
  { keeper }: MigrationContext,
  state: 'encrypting' | 'decrypting',
  { id: keyId }: VaultKey,
  migration: SealedMigration,
): Partial<SealContent> {
  const { files, inactiveKeyIds, pendingKeyId } = keeper.content;
  const unneeded = [...inactiveKeyIds, pendingKeyId].filter((id) => id !== null);
  return {
    state,
    keyId,
    migration,
    files: [...new Set([...files, migration.backup, manifestPathOf(migration.backup)])],
    // The key of a rotation that did not come to its end is under no record; left pending, the next
    // rotation would take it for new.
    pendingKeyId: null,
    inactiveKeyIds: unneeded.filter((id) => id !== keyId),
    retired: null,
  };
}

/** Which form the records have now, and which files the migration uses. */
async function plannedMigration(
  context: MigrationContext,
  direction: Direction,
  before: SealContent,
): Promise<SealedMigration> {
  const isUnderWay = before.state === 'encrypting' || before.state === 'decrypting';
  if (isUnderWay && before.migration !== null) return before.migration;
  const from = before.state === 'plaintext' ? 'plaintext' : 'encrypted';
  const isPlain = from === 'plaintext' && direction === 'encrypt';
  const ending = isPlain ? (context.protection?.ending ?? '') : '';
  // Nobody signed what a plaintext seal names: where it is in this folder, its name is taken anyway.
  const named = before.keyId === null ? [] : before.files;
  const backup = await freeBackupName(context.dataDir, ending, named);
  return { from, backup, host: context.host, isBackedUp: false };
}

/** No record was changed yet: the state is again what it was. Where even that fails, the next start resumes. */
async function goBack(
  { keeper, lock, logger }: MigrationContext,
  migration: SealedMigration,
  before: SealContent,
): Promise<void> {
  if (migration.from === 'either') return;
  const isPlain = migration.from === 'plaintext';
  try {
    await keeper.change(lock, {
      state: STATE_BEFORE[migration.from],
      keyId: isPlain ? null : keeper.content.keyId,
      activeSinceMs: isPlain ? null : keeper.content.activeSinceMs,
      migration: null,
      files: before.files.filter((name) => !name.startsWith(migration.backup)),
      retired: isPlain ? before.retired : null,
    });
  } catch (error) {
    logger.warn('The migration could not be taken back; the next start resumes it', {
      cause: messageOf(error),
    });
  }
}

/** Steps 3 and 4. @returns how many records there are, and whether none of them can come back in the other form */
async function transformAndVerify(
  context: MigrationContext,
  direction: Direction,
  key: VaultKey,
): Promise<{ readonly records: number; readonly isSafe: boolean }> {
  const { migration } = context.keeper.content;
  if (migration === null) throw new TypeError('no migration is under way');
  const { result, gap } = await provenSteps(context, { isPatient: true }, async () => {
    await transformRecords(context, direction, key, migration.backup);
    await context.step(`${direction}-transformed`);
    return verifyMigration(context, direction, key, migration.backup);
  });
  const { records, unreadable } = result;
  if (unreadable > 0)
    context.logger.warn('Some records cannot be read: run verify', { unreadable });
  // Where Redis can never tell, to look once more would tell no more.
  return { records, isSafe: gap?.kind !== 'pending' };
}

/** Path of the backup of the migration that is under way, for a message. */
export function backupPathOf(
  content: SealContent | undefined,
  dataDir: string,
): string | undefined {
  const backup = content?.migration?.backup;
  return backup === undefined ? undefined : join(dataDir, backup);
}

/** What an operator does about a migration that failed. */
export function migrationAdvice(content: SealContent | undefined, dataDir: string): string {
  const migration = content?.migration ?? undefined;
  if (migration?.isBackedUp === true && !existsSync(join(dataDir, migration.backup))) {
    // Only the folder in which it began has the manifest that the records are compared with.
    return `start the server on ${migration.host} in whose data folder the migration began: it goes on there; then restart this one`;
  }
  return 'mend the cause and restart: the migration goes on where it stopped; until it is done delete neither its backup nor a half, and put no older copy of Redis in the place of this one';
}
