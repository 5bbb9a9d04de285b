/** Files that hold a password or a passphrase: one line. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { secretLine } from './secret-line.js';

const GROUP_AND_OTHERS = 0o077;
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
 */
export function modeProblem(file: string, mode: number): string | undefined {
  const isOpen = (mode & GROUP_AND_OTHERS) !== 0;
  if (!isOpen || resolve(file).startsWith(SYSTEMD_CREDENTIALS)) return undefined;
  const shown = (mode & 0o777).toString(8);
  return `has mode ${shown}, which is open to group or others: chmod 400 it, let it belong to the user of the server, and treat the secret as disclosed`;
}

function readClosedFile(file: string): Uint8Array {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const stat = fstatSync(descriptor);
    // A pipe or a terminal has its rights from elsewhere.
    const problem = stat.isFile() ? modeProblem(file, stat.mode) : undefined;
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
