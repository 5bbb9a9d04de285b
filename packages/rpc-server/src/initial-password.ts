/** The file that keeps the password of the first administrator until the operator deletes it. */
import { join } from 'node:path';
import { replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';

/** In the data folder. */
export const INITIAL_PASSWORD_FILE = DATA_FOLDER.initialPassword.name;

/** Only the password: a name beside it would be found by a search for names. */
export async function writeInitialPassword(folder: string, password: string): Promise<void> {
  await replaceFile(join(folder, INITIAL_PASSWORD_FILE), `${password}\n`, { mode: 0o600 });
}
