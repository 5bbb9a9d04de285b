/** The file that keeps the password of the first administrator until the operator deletes it, or another takes its place. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFiles, replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';

/** In the data folder. */
export const INITIAL_PASSWORD_FILE = DATA_FOLDER.initialPassword.name;

/** Only the password: a name beside it would be found by a search for names. */
export async function writeInitialPassword(folder: string, password: string): Promise<void> {
  await replaceFile(join(folder, INITIAL_PASSWORD_FILE), `${password}\n`, { mode: 0o600 });
}

/**
 * Removes it where its password was just replaced.
 * @param isReplaced says whether a password is that one
 * @returns whether it was there, and is gone
 */
export async function removeInitialPassword(
  folder: string,
  isReplaced: (password: string) => Promise<boolean>,
): Promise<boolean> {
  const text = await readFile(join(folder, INITIAL_PASSWORD_FILE), 'utf8').catch(() => undefined);
  if (text === undefined || !(await isReplaced(text.trimEnd()))) return false;
  await removeFiles(folder, [INITIAL_PASSWORD_FILE]);
  return true;
}
