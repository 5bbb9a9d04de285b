/** How the migration backup and scheduled exports are protected, from the `[backup]` settings. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { readSecretFile } from '../config/redis-config.js';
import { ConfigError } from '../config/errors.js';
import type { Settings } from '../config/settings.js';
import { PASSPHRASE_CHARACTERS_MIN } from './limits.js';
import { encryptStream, readRecipientKey } from './open-pgp.js';
import type { BackupProtection } from './open-pgp.js';

/** Turns the plain bytes of a backup into what is written. */
export type ProtectBackup = (plain: Readable) => Readable;

/**
 * @returns `undefined` when the settings name neither a recipient nor a passphrase
 * @throws {ConfigError} when a file cannot be read or holds something else
 */
export async function backupProtectionOf(
  settings: Pick<Settings, 'backup.recipientFile' | 'backup.passphraseFile'>,
): Promise<BackupProtection | undefined> {
  const recipientFile = settings['backup.recipientFile'];
  if (recipientFile !== undefined) {
    try {
      const recipientKey = readFileSync(recipientFile, 'utf8');
      await readRecipientKey(recipientKey);
      return { recipientKey };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new ConfigError(
        'CONFIG_UNREADABLE',
        `backup.recipientFile: ${recipientFile}: ${code ?? message}`,
      );
    }
  }
  const passphraseFile = settings['backup.passphraseFile'];
  if (passphraseFile === undefined) return undefined;
  const passphrase = readSecretFile('backup.passphraseFile', passphraseFile);
  if (Array.from(passphrase).length < PASSPHRASE_CHARACTERS_MIN) {
    throw new ConfigError(
      'CONFIG_TYPE',
      `backup.passphraseFile: the line of ${passphraseFile} has fewer than ${PASSPHRASE_CHARACTERS_MIN} characters`,
    );
  }
  return { passphrase };
}

/** The migration backup as an OpenPGP file. */
export function protectMigrationBackup(protection: BackupProtection): ProtectBackup {
  return (plain) =>
    Readable.from(encryptStream(plain, protection, 'encryption-backup.json'), {
      objectMode: false,
    });
}
