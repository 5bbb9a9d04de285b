/** Files that survive a power cut: written beside, synced, renamed, and the folder synced after. */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Ending of files that are being written; one that a crash left behind is worth nothing. */
export const TEMPORARY_ENDING = '.tmp';

/** Files that this process works on, which nobody must take for abandoned. */
const held = new Set<string>();

/** Says that this process uses the file. */
export function holdFile(path: string): void {
  held.add(path);
}
/** Says that this process uses it no more. */
export function releaseFile(path: string): void {
  held.delete(path);
}
export function isHeldFile(path: string): boolean {
  return held.has(path);
}

/** Makes renames and removals in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A name beside `path` for writing its next content, with the id of this process in it. */
export function temporaryPath(path: string): string {
  const random = randomBytes(6).toString('hex');
  return join(dirname(path), `.${basename(path)}.${process.pid}-${random}${TEMPORARY_ENDING}`);
}

/**
 * Replaces a file by new content, atomically and durably.
 * @param mode permission bits of the new file
 */
export async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  const temporary = temporaryPath(path);
  holdFile(temporary);
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    releaseFile(temporary);
  }
  await syncFolder(dirname(path));
}

/** Removes files of one folder and makes that durable; one that is not there is no error. */
export async function removeFiles(folder: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await Promise.all(names.map(async (name) => rm(join(folder, name), { force: true })));
  await syncFolder(folder);
}
