/**
 * Backups in the data folder that are certainly those of a migration of this database: the manifest beside
 * them opens under a key of it. A name proves nothing, nor does what the file says of itself.
 */
// oxlint-disable no-await-in-loop -- a file or two, and a key or two
import { join } from 'node:path';
import type { VaultKey } from '@vault/crypto';
import { removeFiles } from '@vault/crypto/files';
import { isManifestUnder } from '../audit/manifest.js';
import { manifestPathOf } from './backup.js';

const MANIFEST_ENDING = manifestPathOf('');

/**
 * @param names of backups, of manifests, or of both
 * @param keys those under which its migrations ran
 * @returns the names of backups and manifests, of those that are proven
 */
export async function provenBackups(
  dataDir: string,
  names: readonly string[],
  databaseId: string,
  keys: readonly VaultKey[],
): Promise<readonly string[]> {
  const backups = new Set(
    names.map((name) => (isManifest(name) ? name.slice(0, -MANIFEST_ENDING.length) : name)),
  );
  const proven: string[] = [];
  for (const backup of backups) {
    const manifest = manifestPathOf(backup);
    for (const key of keys) {
      if (!(await isManifestUnder(join(dataDir, manifest), key, databaseId))) continue;
      proven.push(backup, manifest);
      break;
    }
  }
  return proven;
}

/** Removes backups and their manifests; the manifests last, since they prove what is left. */
export async function removeBackups(dataDir: string, names: readonly string[]): Promise<void> {
  await removeFiles(
    dataDir,
    names.filter((name) => !isManifest(name)),
  );
  await removeFiles(dataDir, names.filter(isManifest));
}

function isManifest(name: string): boolean {
  return name.endsWith(MANIFEST_ENDING);
}
