/** Spools of imports that a killed process left in the data folder: they hold plaintext in a plaintext database. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbandoned } from '@vault/crypto/files';
import { isOfKind } from './data-folder.js';

/**
 * Spools of processes that are gone. One of them may have been killed while its command that has the
 * seal name the spool was on its way to Redis, where it counts as long as the lock is that process':
 * only who has held the lock since, and looked at the seal after, knows that nobody needs the file.
 * @param kept the spool that the seal names
 */
export async function abandonedSpools(folder: string, kept: string | undefined): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => isOfKind('spool', name) && name !== kept);
  const areAbandoned = await Promise.all(
    names.map(async (name) => isAbandoned(join(folder, name))),
  );
  return names.filter((_, i) => areAbandoned[i]);
}
