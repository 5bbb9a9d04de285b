/**
 * What an import asks of its file. A passphrase says that the file is the one that was exported with
 * it: nothing but OpenPGP under that passphrase is taken then, so that nobody who can replace the file
 * plants a record. A file without protection needs a word of whoever imports.
 */
import { BackupError } from './errors.js';
import type { ImportParams } from './port.js';

export type ImportProtection = { readonly passphrase: string } | 'unprotected';

/** @throws {BackupError} `BACKUP_PROTECTION_UNSAID` unless just one of the two is given */
export function importProtection({ passphrase, allowUnprotected }: ImportParams): ImportProtection {
  if (passphrase !== undefined && allowUnprotected === true) {
    throw new BackupError('BACKUP_PROTECTION_UNSAID', 'both were given');
  }
  if (passphrase !== undefined) return { passphrase };
  if (allowUnprotected === true) return 'unprotected';
  throw new BackupError('BACKUP_PROTECTION_UNSAID');
}
