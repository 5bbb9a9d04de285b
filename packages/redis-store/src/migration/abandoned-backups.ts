/**
 * Plaintext backups that nobody deletes any more: a server was killed while *encrypt* deleted what is
 * left of plaintext, and another one, which has a data folder of its own, finished that.
 */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { removeFiles } from '../durable-file.js';
import type { SealContent } from '../seal.js';
import type { StoreLogger } from '../store-logger.js';
import { manifestPathOf } from './backup.js';

/** Whole ones, and those that were being written: see `temporaryPath` in `durable-file.ts`. */
const PLAIN_BACKUP = /^(?:encryption-backup.*\.json|\.encryption-backup.*\.json\..*\.tmp)$/;
/** The first line of a backup is shorter by far. */
const HEAD_BYTES = 4096;

/** In the data folder of a process that serves `content`: nothing is done while a migration is under way. */
export async function removeAbandonedBackups(
  dataDir: string,
  content: SealContent,
  logger: StoreLogger,
): Promise<void> {
  const { state, databaseId, migration, files } = content;
  if (state !== 'encrypted' || migration !== null || files.length > 0) return;
  const names = (await readdir(dataDir)).filter((name) => PLAIN_BACKUP.test(name));
  const isOurs = await Promise.all(
    names.map((name) => holdsPlaintextOf(join(dataDir, name), databaseId)),
  );
  const abandoned = names.filter((_, i) => isOurs[i]);
  if (abandoned.length === 0) return;
  await removeFiles(
    dataDir,
    abandoned.flatMap((name) => [name, manifestPathOf(name)]),
  );
  logger.warn('Plaintext backups of a migration that another server finished are deleted', {
    files: abandoned,
  });
}

/** The first line of a backup, closed, is JSON of its own: see `backup.ts`. */
async function holdsPlaintextOf(path: string, databaseId: string): Promise<boolean> {
  const input = createReadStream(path, { end: HEAD_BYTES - 1 });
  try {
    for await (const line of createInterface({ input })) {
      const head = JSON.parse(`${line}]}`) as Record<string, unknown>;
      return head['databaseId'] === databaseId && head['of'] !== 'encrypted';
    }
    return false;
  } catch {
    // Not a backup of ours, whatever its name.
    return false;
  } finally {
    input.destroy();
  }
}
