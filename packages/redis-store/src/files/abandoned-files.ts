/**
 * Files that a killed process left in the data folder: temporary ones, and spools of imports, which
 * hold plaintext in a plaintext database. Their names carry the id of the process that made them.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isHeldFile, removeFiles } from './durable-file.js';

/** `.vault-state.<process id>-<random>.tmp`; and a `dropped-fields.json`, which may hold plaintext */
const TEMPORARY = /^\.(?:vault-state|dropped-fields\w*\.json(?:\.\w+)?)\.(\d+)-[0-9a-f]+\.tmp$/;
/** `import-<process id>-<UUID>.spool` */
const SPOOL = /^import-(\d+)-[0-9a-f-]{36}\.spool$/;

/** Removes temporary files that processes that are gone left in the folder. */
export async function removeAbandonedFiles(folder: string): Promise<void> {
  await removeFiles(folder, await abandoned(folder, TEMPORARY));
}

/**
 * Spools of processes that are gone. One of them may have been killed while its command that has the
 * seal name the spool was on its way to Redis, where it counts as long as the lock is that process':
 * only who has held the lock since, and looked at the seal after, knows that nobody needs the file.
 * @param kept the spool that the seal names
 */
export async function abandonedSpools(folder: string, kept: string | undefined): Promise<string[]> {
  return (await abandoned(folder, SPOOL)).filter((name) => name !== kept);
}

async function abandoned(folder: string, madeBy: RegExp): Promise<string[]> {
  return (await readdir(folder)).filter((name) => {
    const match = madeBy.exec(name);
    if (match === null || isHeldFile(join(folder, name))) return false;
    const pid = Number(match[1]);
    // In a new container a process may have the id of the one that was killed.
    return pid === process.pid || !isRunning(pid);
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
