/**
 * Proves a written export. What this server can decrypt it reads as an import would, to the last record.
 * What is for a public key it cannot: there the records were read before they were encrypted, and the file
 * is proven to be, byte for byte, what was written then, for that key.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { DatabaseConfigBackup } from './config-backup.js';
import { BackupError } from './errors.js';
import { isEncryptedTo } from './open-pgp.js';
import type { BackupProtection } from './open-pgp.js';

/** How an export was proven. */
export type ExportProof = 'dry-run import' | 'checksum';

export interface WrittenExport {
  readonly path: string;
  readonly protection: BackupProtection | undefined;
  /** Records that were written. */
  readonly records: number;
  /** SHA-256 of what was written, hex. */
  readonly sha256: string;
}

/** @throws {BackupError} `BACKUP_UNPROVEN`, or what an import of the file would be refused with */
export async function proveExport(
  { path, protection, records, sha256 }: WrittenExport,
  backup: DatabaseConfigBackup,
): Promise<ExportProof> {
  if (protection !== undefined && 'recipientKey' in protection) {
    if ((await sha256Of(path)) !== sha256) throw unproven('its checksum is another');
    const file = createReadStream(path);
    const isForRecipient = await isEncryptedTo(file, protection.recipientKey);
    // Only its beginning was needed.
    file.destroy();
    if (!isForRecipient) throw unproven('it is not encrypted for the recipient');
    return 'checksum';
  }
  const read = await backup.readAgain(createReadStream(path), protection ?? 'unprotected');
  if (read.refused.count > 0) throw unproven(read.refused.text);
  if (read.records !== records) throw unproven(`${read.records} of ${records} records came back`);
  return 'dry-run import';
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

function unproven(why: string): BackupError {
  return new BackupError('BACKUP_UNPROVEN', why);
}
