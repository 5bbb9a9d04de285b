/**
 * Files with plaintext in the data folder of an encrypted database. Backups of its own that nobody
 * deletes any more go: a server was killed while *encrypt* deleted what is left of plaintext, and
 * another one, which has a data folder of its own, finished that. Any other is an operator's to
 * delete, and is named at each start.
 */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DegradedError, StoreError } from '../errors.js';
import { Durability } from '../redis/durability.js';
import type { RedisLink } from '../redis/redis-link.js';
import { plaintextRecordsIn } from '../files/archive-file.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import type { StoreLogger } from '../store-logger.js';
import { manifestPathOf } from './backup.js';
import { isBecoming, isOfKind } from '../files/data-folder.js';
import { provenBackups, removeBackups } from './proven-backups.js';

/** Whole ones, and those that were being written. What is protected, and a manifest, shows nothing. */
const isBackup = (name: string): boolean =>
  isOfKind('migrationBackup', name) || isBecoming('migrationBackup', name);
/** The first line of a backup is shorter by far. */
const HEAD_BYTES = 4096;

/** In the data folder of a process that serves `content`: nothing is done while a migration is under way. */
export async function removeAbandonedBackups(
  dataDir: string,
  link: RedisLink,
  keeper: Pick<SealKeeper, 'content' | 'ring' | 'checkStands'>,
  logger: StoreLogger,
): Promise<void> {
  const { content, ring } = keeper;
  const { state, databaseId, migration, files, keyId, inactiveKeyIds } = content;
  if (state !== 'encrypted' || migration !== null || files.length > 0) return;
  const names = await readdir(dataDir);
  const backups = names.filter(isBackup);
  const owners = await Promise.all(backups.map((name) => plaintextOwner(join(dataDir, name))));
  const claimed = backups.filter((_, i) => owners[i] === databaseId);
  // The id is no secret: a kept backup of another time may bear it, and be all that there is.
  const keys = [keyId, ...inactiveKeyIds]
    .map((id) => (id === null ? undefined : ring.byId(id)))
    .filter((key) => key !== undefined);
  const proven = await provenBackups(dataDir, claimed.filter(isWhole), databaseId, keys);
  const abandoned = claimed.filter((name) => !isWhole(name) || proven.includes(name));
  await nameForeign(
    dataDir,
    await kept(
      dataDir,
      names,
      backups.filter((name) => !abandoned.includes(name)),
    ),
    names.filter((name) => isOfKind('archive', name)),
    logger,
  );
  if (abandoned.length === 0) return;
  const doubt = await doubtOf(link, keeper);
  if (doubt !== undefined) {
    logger.warn('Plaintext backups of a migration that has ended are kept', {
      files: abandoned,
      cause: doubt,
      advice: 'mend the cause: the next start looks again, and deletes them then',
    });
    return;
  }
  await removeBackups(
    dataDir,
    abandoned.flatMap((name) => (isWhole(name) ? [name, manifestPathOf(name)] : [name])),
  );
  logger.warn('Plaintext backups of a migration that another server finished are deleted', {
    files: abandoned,
  });
}

/**
 * Whether what the backups hold is safe in Redis: they may be all that a power cut leaves, and a seal that was lost and
 * made again does not name them.
 * @returns why that is not proven
 */
async function doubtOf(
  link: RedisLink,
  keeper: Pick<SealKeeper, 'checkStands'>,
): Promise<string | undefined> {
  try {
    const gap = await (await Durability.begin(link)).gap('final');
    // A Redis that was rolled back meanwhile may lack records that only a backup has.
    if (gap === undefined) await keeper.checkStands();
    return gap?.why;
  } catch (error) {
    if (error instanceof StoreError && !(error instanceof DegradedError)) return error.message;
    throw error;
  }
}

/** Not one that was being written: nobody ever kept such a one. */
function isWhole(name: string): boolean {
  return !isBecoming('migrationBackup', name);
}

/** Files with plaintext that a start does not delete: what was dropped on request is in no other place. */
async function kept(
  dataDir: string,
  names: readonly string[],
  backups: readonly string[],
): Promise<readonly string[]> {
  const files = [...backups, ...names.filter((name) => isOfKind('droppedFields', name))];
  const owners = await Promise.all(files.map((name) => plaintextOwner(join(dataDir, name))));
  return files.filter((_, i) => owners[i] !== undefined);
}

/** What a database that was put aside, or put back from a backup, left: nobody but an operator knows when it is needed no more. */
async function nameForeign(
  dataDir: string,
  backups: readonly string[],
  archives: readonly string[],
  logger: StoreLogger,
): Promise<void> {
  const plaintext = await Promise.all(
    archives.map(async (name) => ((await plaintextRecordsIn(join(dataDir, name))) ?? 0) > 0),
  );
  const files = [...backups, ...archives.filter((_, i) => plaintext[i])];
  if (files.length === 0) return;
  logger.warn(
    'The database is encrypted, but files of an earlier time in the data folder hold plaintext: delete them once you need them no more',
    { files: files.map((name) => join(dataDir, name)) },
  );
}

/**
 * The first line of a backup, closed, is JSON of its own: see `backup.ts`.
 * @returns id of the database whose plaintext it holds; `undefined` where it holds none
 */
async function plaintextOwner(path: string): Promise<string | undefined> {
  const head = await headOf(path);
  return head === undefined || head.of === 'encrypted' ? undefined : head.databaseId;
}

/** @returns `undefined` for what is no backup, or a protected one */
async function headOf(
  path: string,
): Promise<{ readonly of: unknown; readonly databaseId: string } | undefined> {
  const input = createReadStream(path, { end: HEAD_BYTES - 1 });
  try {
    for await (const line of createInterface({ input })) {
      const head = JSON.parse(`${line}]}`) as Record<string, unknown>;
      return { of: head['of'], databaseId: String(head['databaseId']) };
    }
    return undefined;
  } catch {
    // Not a backup of ours, whatever its name.
    return undefined;
  } finally {
    input.destroy();
  }
}
