/**
 * Files that a killed process left in the data folder: temporary ones, and spools of imports, which
 * hold plaintext in a plaintext database. Their names carry the id of the process that made them.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isHeldFile, removeFiles } from './durable-file.js';

/** `.vault-state.<process id>-<random>.tmp`, `import-<process id>-<UUID>.spool` */
const MADE_BY = /^(?:\.vault-state\.(\d+)-[0-9a-f]+\.tmp|import-(\d+)-[0-9a-f-]{36}\.spool)$/;

/**
 * Removes what processes that are gone left in the folder.
 * @param kept name of a file that stays whoever made it: the spool that the seal names
 */
export async function removeAbandonedFiles(
  folder: string,
  kept: string | undefined,
): Promise<void> {
  const abandoned = (await readdir(folder)).filter((name) => {
    const match = MADE_BY.exec(name);
    if (match === null || name === kept || isHeldFile(join(folder, name))) return false;
    const pid = Number(match[1] ?? match[2]);
    // In a new container a process may have the id of the one that was killed.
    return pid === process.pid || !isRunning(pid);
  });
  await removeFiles(folder, abandoned);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
