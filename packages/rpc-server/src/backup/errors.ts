/**
 * The errors of the config backup. To whoever sends a file there is one face of a file that cannot
 * be read: a wrong passphrase, a cut or altered file and a file of another program look the same.
 */
import type { RefusedRecords } from './refused-records.js';

export const BACKUP_ERRORS = {
  BACKUP_PASSPHRASE_REQUIRED:
    'Credential encryption is enabled: exporting the configuration requires a passphrase',
  BACKUP_PASSPHRASE_TOO_SHORT: 'the passphrase of a backup has at least 12 characters',
  BACKUP_PROTECTION_UNSAID:
    'an import needs passphrase=<that of the encrypted file>, or allowUnprotected=true for a file that is not encrypted: anybody may have written such a file; nothing was changed',
  BACKUP_NOT_ENCRYPTED:
    'a passphrase was given, and the file is not encrypted: it is not the file that was exported with it; nothing was changed',
  BACKUP_PASSPHRASE_NEEDED:
    'the backup is encrypted: give passphrase=<its passphrase> instead of allowUnprotected; nothing was changed',
  BACKUP_UNREADABLE:
    'the backup cannot be read: wrong passphrase, or not a whole and unaltered config backup; nothing was changed',
  BACKUP_REFUSED: 'the backup holds something that this server does not take; nothing was changed',
  BACKUP_RECORDS_REFUSED:
    'the backup holds records that cannot be imported; nothing was changed: with skipInvalid=true they are left out',
  BACKUP_NO_ADMINISTRATOR:
    'after this import no administrator could sign in; nothing was changed: give another administrator a password first, or import a backup that has one',
  BACKUP_INCOMPLETE:
    'records cannot be read, or would not come back from the backup: mend or remove them, or export with skipUnreadable=true, which leaves them out',
  BACKUP_ENTRY_UNKNOWN: 'a requested entry is not a collection that a backup can hold',
  BACKUP_STORAGE_FAILED: 'the data folder of the server did not take the file; nothing was changed',
  BACKUP_UNPROVEN: 'a scheduled export, read again from its file, is not what was written',
} as const;

export type BackupErrorCode = keyof typeof BACKUP_ERRORS;

export class BackupError extends Error {
  readonly code: BackupErrorCode;
  /** The records that it is about. */
  readonly refused: RefusedRecords | undefined;

  /** @param detail one more clause, by name and count only: never a value of the file */
  constructor(
    code: BackupErrorCode,
    detail?: string,
    { refused, ...options }: ErrorOptions & { readonly refused?: RefusedRecords } = {},
  ) {
    super(
      detail === undefined ? BACKUP_ERRORS[code] : `${BACKUP_ERRORS[code]}: ${detail}`,
      options,
    );
    this.name = 'BackupError';
    this.code = code;
    this.refused = refused;
  }
}

/** An error about records, which its message names. */
export function refusedError(code: BackupErrorCode, refused: RefusedRecords): BackupError {
  return new BackupError(code, refused.text, { refused });
}
