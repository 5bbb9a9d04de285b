/** Files that hold a password or a passphrase: one line. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { resolve } from 'node:path';
import { secretLine } from './secret-line.js';

const GROUP_AND_OTHERS = 0o077;
const GROUP_READ = 0o040;
const ROOT_USER_ID = 0;
/** Where systemd puts credentials: the folder is closed to others, and the right of the service's user shows as one of a group. */
const SYSTEMD_CREDENTIALS = '/run/credentials/';

/** Why a file gives no secret, as the end of a sentence that begins with its path. */
export class SecretFileError extends Error {
  readonly code = 'SECRET_FILE';
}

/**
 * The one line of a file.
 * @throws {SecretFileError} when it cannot be read, is empty, holds more than one line, or group or others may read or change it; never with what is in it
 */
export function readSecretLine(file: string): string {
  const found = secretLine(readClosedFile(file));
  if ('line' in found) return found.line;
  throw new SecretFileError(found.problem);
}

/**
 * What is wrong with the mode of a regular file, as the end of a sentence.
 * @param mode as `stat` gives it
 * @param allowed bits that are no problem
 */
export function modeProblem(file: string, mode: number, allowed = 0): string | undefined {
  const isOpen = (mode & GROUP_AND_OTHERS & ~allowed) !== 0;
  if (!isOpen || resolve(file).startsWith(SYSTEMD_CREDENTIALS)) return undefined;
  const shown = (mode & 0o777).toString(8);
  return `has mode ${shown}, which is open to group or others: chmod 400 it, let it belong to the user of the server, and treat the secret as disclosed`;
}

/**
 * The text of a file with a private key: as of {@link readSecretLine}, except that a group may read one that
 * belongs to root, as Debian's group `ssl-cert` does.
 * @throws {SecretFileError}
 */
export function readPrivateKey(file: string): string {
  return Buffer.from(readClosedFile(file, keyProblem)).toString();
}

function keyProblem(file: string, { mode, uid }: Stats): string | undefined {
  return modeProblem(file, mode, uid === ROOT_USER_ID ? GROUP_READ : 0);
}

function readClosedFile(
  file: string,
  problemOf = (path: string, { mode }: Stats) => modeProblem(path, mode),
): Uint8Array {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const stat = fstatSync(descriptor);
    // A pipe or a terminal has its rights from elsewhere.
    const problem = stat.isFile() ? problemOf(file, stat) : undefined;
    if (problem !== undefined) throw new SecretFileError(problem);
    return readFileSync(descriptor);
  } catch (error) {
    if (error instanceof SecretFileError) throw error;
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new SecretFileError(`cannot be read (${code})`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
