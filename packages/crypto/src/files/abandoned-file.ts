/**
 * Files that carry the process that works on them in their names, and what is left of them when it was killed.
 *
 * ```
 * mark       = place (8 hex digits) "-" process id "-" random (16 hex digits)
 * temporary  = <name of the file to be> ".tmp-" mark
 * ```
 */
import { randomBytes } from 'node:crypto';
import { readdir, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isGone, PROCESS_PLACE } from './process-place.js';

/** The mark of {@link processMark} at the end of a name, before an ending of letters. */
const MARK = /([0-9a-f]{8})-(\d+)-[0-9a-f]{16}(?:\.[a-z]+)?$/;
const TEMPORARY_INFIX = '.tmp-';
const TEMPORARY = /^.+\.tmp-[0-9a-f]{8}-\d+-[0-9a-f]{16}$/;
const RANDOM_BYTES = 8;
/**
 * A process of another machine or container cannot be asked whether it lives. One that writes does so all
 * the time; what did not change for so long was left by a container that is there no more.
 */
const UNCHANGED_MAX_MS = 3_600_000;

/** Files that this process works on: another process may have had its id before, in a container. */
const held = new Set<string>();

/** Says that this process uses the file. */
export function holdFile(path: string): void {
  held.add(path);
}

/** Says that this process uses it no more. */
export function releaseFile(path: string): void {
  held.delete(path);
}

/** A part of a file's name that tells whose it is, and that nobody can guess before. */
export function processMark(): string {
  return `${PROCESS_PLACE}-${process.pid}-${randomBytes(RANDOM_BYTES).toString('hex')}`;
}

/** A new name beside `path`, for writing what it shall hold. */
export function temporaryPath(path: string): string {
  return `${path}${TEMPORARY_INFIX}${processMark()}`;
}

/** Whether a name is one of {@link temporaryPath}. @param of name of the file to be; default: of any file */
export function isTemporaryName(name: string, of?: string): boolean {
  return TEMPORARY.test(name) && (of === undefined || name.startsWith(`${of}${TEMPORARY_INFIX}`));
}

/**
 * Whether nobody works any more on a file whose name has a mark: its process is gone, or is of another
 * machine or container and did not touch it for an hour.
 */
export async function isAbandoned(path: string): Promise<boolean> {
  const [, place, pid] = MARK.exec(basename(path)) ?? [];
  if (place === undefined || held.has(path)) return false;
  if (place === PROCESS_PLACE) return Number(pid) === process.pid || isGone(Number(pid));
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > UNCHANGED_MAX_MS;
}

/**
 * Removes temporary files that killed processes left in a folder. Never throws: what cannot be removed
 * now, the next one tries again.
 * @param of name of the file to be; default: of any file
 */
export async function removeAbandonedTemporaries(folder: string, of?: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const paths = names.filter((name) => isTemporaryName(name, of)).map((name) => join(folder, name));
  await Promise.allSettled(
    paths.map(async (path) => {
      if (await isAbandoned(path)) await unlink(path);
    }),
  );
}
