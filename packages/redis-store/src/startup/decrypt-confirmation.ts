/**
 * `<datadir>/confirm-decrypt`: somebody with both halves and this folder confirmed that a pinned
 * database may be decrypted. It is good for one database at one epoch, which ends when the decryption
 * begins, or when anything else changes the state: so it confirms one operation.
 *
 * ```
 * base64url(HMAC-SHA256(seal key, prefix, database id, "confirm-decrypt", epoch)) ‖ "\n"
 * ```
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { VaultKey } from '@vault/crypto';
import { removeFiles, replaceFile } from '@vault/crypto/files';
import { isMissingFile } from '../error-message.js';
import type { SealContent } from '../state/seal.js';
import { DATA_FOLDER } from '../files/data-folder.js';

const CONFIRMATION_FILE = DATA_FOLDER.confirmation.name;
const MODE = 0o600;

function parts(prefix: string, { databaseId, epoch }: SealContent): string[] {
  return [prefix, databaseId, CONFIRMATION_FILE, String(epoch)];
}

/** @param key the active one */
export async function writeConfirmation(
  dataDir: string,
  prefix: string,
  content: SealContent,
  key: VaultKey,
): Promise<void> {
  const mac = key.mac('seal', ...parts(prefix, content)).toString('base64url');
  await replaceFile(join(dataDir, CONFIRMATION_FILE), `${mac}\n`, { mode: MODE });
}

/** Whether there is one for this database as it is now. */
export async function isDecryptionConfirmed(
  dataDir: string,
  prefix: string,
  content: SealContent,
  key: VaultKey,
): Promise<boolean> {
  let text: string;
  try {
    text = await readFile(join(dataDir, CONFIRMATION_FILE), 'utf8');
  } catch (error) {
    if (isMissingFile(error)) return false;
    throw error;
  }
  return key.isMac('seal', Buffer.from(text.trim(), 'base64url'), ...parts(prefix, content));
}

/** It was used, or is good for nothing any more. */
export async function dropConfirmation(dataDir: string): Promise<void> {
  await removeFiles(dataDir, [CONFIRMATION_FILE]);
}
