/** The last step of *encrypt*: what is left of plaintext goes, from the files of Redis and, once that is safe, from the data folder. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { VaultKey } from '@vault/crypto';
import { messageOf } from '../error-message.js';
import { DegradedError, StateStaleError } from '../errors.js';
import { isBecoming } from '../files/data-folder.js';
import { MigrationError } from '../migration-error.js';
import { Durability } from '../redis/durability.js';
import { scrubRedisFiles } from '../redis/redis-files.js';
import { manifestPathOf } from './backup.js';
import type { MigrationContext } from './migration-context.js';
import { removeBackups } from './proven-backups.js';
import { verifyMigration } from './verify-migration.js';

/**
 * The rest of *encrypt*: what is left of plaintext on disk goes. The backup goes only when what it holds is provably on
 * the disk of every server; else it is kept, the database is served, and {@link retryKeptFiles} looks again.
 * @param isSafe whether the records were seen encrypted, and cannot come back otherwise: else they are looked at again
 * @throws {StateStaleError} when Redis was restarted or failed over meanwhile: look again, and do it again
 */
export async function finishScrubbing(
  context: MigrationContext,
  key: VaultKey,
  isSafe = false,
): Promise<void> {
  const { keeper, lock, link, dataDir, kept, logger } = context;
  await context.step('scrub');
  // A crash between seal and fences leaves partitions at another epoch.
  await keeper.raiseFences();
  const durability = await Durability.begin(link);
  if (!isSafe) await verifyAgain(context, key);
  context.progress('scrub', 0, 1);
  const advice = await scrubRedisFiles(link, context.isOwnRedis);
  await context.step('scrubbed-redis');
  const gap = await durability.gap('final');
  const isOther = gap?.kind === 'pending' && (await durability.hasChanged());
  if (isOther || gap?.kind === 'changed') throw new StateStaleError(gap.why);
  // A Redis that was rolled back meanwhile may lack records that only the backup has.
  await keeper.checkStands();
  const { state, files } = keeper.content;
  if (gap === undefined) {
    await lock.assertHeld();
    await removeBackups(dataDir, await leftovers(dataDir, files));
    await context.step('scrubbed-files');
  }
  const left = gap === undefined ? [] : files;
  kept.files = left.length === 0 ? undefined : gap?.why;
  if (state !== 'encrypted' || left.length !== files.length)
    await keeper.change(lock, { state: 'encrypted', migration: null, files: left });
  for (const sentence of advice) logger.warn(sentence);
  if (kept.files !== undefined) sayKept(context);
  context.progress('scrub', 1, 1);
}

/** A backup of *encrypt* that was kept because Redis proved too little goes once it proves enough. */
export async function retryKeptFiles(context: MigrationContext, key: VaultKey): Promise<void> {
  try {
    await finishScrubbing(context, key, true);
  } catch (error) {
    // The records are encrypted, and served.
    if (error instanceof DegradedError || error instanceof StateStaleError) throw error;
    context.kept.files = messageOf(error);
    sayKept(context);
  }
}

function sayKept({ dataDir, keeper, kept, logger }: MigrationContext): void {
  logger.warn('The backup of the encryption is kept, and holds what was not encrypted before it', {
    files: keeper.content.files.map((name) => join(dataDir, name)),
    cause: kept.files,
    advice: 'mend the cause: the server looks again by itself, and deletes it then',
  });
}

/**
 * Whether the process before, which said that every record was encrypted, had that safe before Redis failed over,
 * nobody knows: nothing has written since, so the manifest tells.
 */
async function verifyAgain(context: MigrationContext, key: VaultKey): Promise<void> {
  const { keeper, lock, dataDir } = context;
  const backup = keeper.content.migration?.backup;
  // Only the folder in which it began has a manifest.
  if (backup === undefined || !existsSync(manifestPathOf(join(dataDir, backup)))) return;
  try {
    await verifyMigration(context, 'encrypt', key, backup);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    await keeper.checkStands();
    await keeper.change(lock, { state: 'encrypting' });
    throw new StateStaleError(`records came back as they were: ${error.message}`);
  }
}

/** Files of migrations that the seal names, and temporary ones that a crash left. */
export async function leftovers(dataDir: string, files: readonly string[]): Promise<string[]> {
  const names = await readdir(dataDir);
  const temporary = names.filter((name) => isBecoming('migrationBackup', name));
  return [...files, ...temporary];
}
