/** Files of the data folder that hold envelopes: kept backups of *decrypt*, spools of imports, databases put aside. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyId } from '@vault/crypto';
import { ENVELOPE_VERSION } from '@vault/crypto';
import { readArchive } from '../files/archive-file.js';
import { isOfKind } from '../files/data-folder.js';

/** Each value in it is Redis' own dump, which holds the bytes of an envelope as they are. */
const isArchive = (name: string): boolean => isOfKind('archive', name);
const OTHERS = ['migrationBackup', 'droppedFields', 'spool'] as const;

/** How an envelope under a key begins; in base64 its 9 bytes, version and key id, are 12 characters just. */
function beginningOf(keyId: KeyId): Buffer {
  return Buffer.concat([Buffer.of(ENVELOPE_VERSION), Buffer.from(keyId, 'hex')]);
}

/** @returns one sentence that names a kept file with envelopes under one of the keys, or `undefined` */
export async function backupsUnder(
  dataDir: string,
  keyIds: readonly KeyId[],
): Promise<string | undefined> {
  const names = (await readdir(dataDir)).filter(
    (name) => isArchive(name) || OTHERS.some((kind) => isOfKind(kind, name)),
  );
  for (const name of names) {
    const find = isArchive(name) ? firstArchived : firstFound;
    // oxlint-disable-next-line no-await-in-loop -- one file after the other, in bounded memory
    const keyId = await find(join(dataDir, name), keyIds);
    if (keyId !== undefined) {
      return `the file ${join(dataDir, name)} holds records under the key ${keyId}: delete it, or move it away if you still need it`;
    }
  }
  return undefined;
}

async function firstArchived(path: string, keyIds: readonly KeyId[]): Promise<KeyId | undefined> {
  const beginnings = new Map(keyIds.map((keyId) => [beginningOf(keyId), keyId]));
  for await (const { dump } of readArchive(path)) {
    for (const [beginning, keyId] of beginnings) if (dump.includes(beginning)) return keyId;
  }
  return undefined;
}

async function firstFound(path: string, keyIds: readonly KeyId[]): Promise<KeyId | undefined> {
  const beginnings = new Map(
    keyIds.map((keyId) => [beginningOf(keyId).toString('base64'), keyId] as const),
  );
  let rest = '';
  for await (const chunk of createReadStream(path, 'latin1')) {
    const text = rest + String(chunk);
    for (const [beginning, keyId] of beginnings) if (text.includes(beginning)) return keyId;
    // A beginning may be cut in two.
    rest = text.slice(-16);
  }
  return undefined;
}
