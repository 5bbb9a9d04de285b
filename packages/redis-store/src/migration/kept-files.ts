/** Files of the data folder that hold envelopes: kept backups of *decrypt*, spools of imports. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyId } from '@vault/crypto';
import { ENVELOPE_VERSION } from '@vault/crypto';

const HOLDS_ENVELOPES = /^(?:encryption-backup.*\.json|import-.*\.spool)$/;

/** How an envelope under a key begins in base64: version and key id are 9 bytes, so 12 characters just. */
function beginningOf(keyId: KeyId): string {
  return Buffer.concat([Buffer.of(ENVELOPE_VERSION), Buffer.from(keyId, 'hex')]).toString('base64');
}

/** @returns one sentence that names a kept file with envelopes under one of the keys, or `undefined` */
export async function backupsUnder(
  dataDir: string,
  keyIds: readonly KeyId[],
): Promise<string | undefined> {
  const names = (await readdir(dataDir)).filter((name) => HOLDS_ENVELOPES.test(name));
  const beginnings = new Map(keyIds.map((keyId) => [beginningOf(keyId), keyId]));
  for (const name of names) {
    // oxlint-disable-next-line no-await-in-loop -- one file after the other, in bounded memory
    const keyId = await firstFound(join(dataDir, name), beginnings);
    if (keyId !== undefined) {
      return `the file ${join(dataDir, name)} holds records under the key ${keyId}: delete it, or move it away if you still need it`;
    }
  }
  return undefined;
}

async function firstFound(
  path: string,
  beginnings: ReadonlyMap<string, KeyId>,
): Promise<KeyId | undefined> {
  let rest = '';
  for await (const chunk of createReadStream(path, 'latin1')) {
    const text = rest + String(chunk);
    for (const [beginning, keyId] of beginnings) if (text.includes(beginning)) return keyId;
    // A beginning may be cut in two.
    rest = text.slice(-16);
  }
  return undefined;
}
