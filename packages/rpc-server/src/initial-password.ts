/** The file that keeps the password of the first administrator until the operator deletes it. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';

/** In the data folder. */
export const INITIAL_PASSWORD_FILE = 'initial-password';

/** Only the password: a name beside it would be found by a search for names. */
export async function writeInitialPassword(folder: string, password: string): Promise<void> {
  const file = await open(join(folder, INITIAL_PASSWORD_FILE), 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(`${password}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}
