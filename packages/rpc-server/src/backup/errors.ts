/**
 * The errors of the config backup. To whoever sends a file there is one face of a file that cannot
 * be read: a wrong passphrase, a cut or altered file and a file of another program look the same.
 */
export const BACKUP_ERRORS = {
  BACKUP_PASSPHRASE_REQUIRED:
    'Credential encryption is enabled: exporting the configuration requires a passphrase',
  BACKUP_PASSPHRASE_TOO_SHORT: 'the passphrase of a backup has at least 12 characters',
  BACKUP_PASSPHRASE_NEEDED:
    'the backup is encrypted: its passphrase is needed; nothing was changed',
  BACKUP_UNREADABLE:
    'the backup cannot be read: wrong passphrase, or not a whole and unaltered config backup; nothing was changed',
  BACKUP_REFUSED: 'the backup holds something that this server does not take; nothing was changed',
  BACKUP_INCOMPLETE:
    'a record cannot be read: run vault-server verify, or export with skipUnreadable=true to leave it out',
  BACKUP_ENTRY_UNKNOWN: 'a requested entry is not a collection that a backup can hold',
} as const;

export type BackupErrorCode = keyof typeof BACKUP_ERRORS;

export class BackupError extends Error {
  readonly code: BackupErrorCode;

  /** @param detail one more clause, by name and count only: never a value of the file */
  constructor(code: BackupErrorCode, detail?: string, options?: ErrorOptions) {
    super(
      detail === undefined ? BACKUP_ERRORS[code] : `${BACKUP_ERRORS[code]}: ${detail}`,
      options,
    );
    this.name = 'BackupError';
    this.code = code;
  }
}
