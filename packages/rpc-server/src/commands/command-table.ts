/** Every command of `vault-server`, in the order of `--help`. */
import { ACCEPT_DATABASE } from './accept-database.js';
import type { Command } from './command.js';
import { CONFIRM_DECRYPT } from './confirm-decrypt.js';
import { INIT } from './init.js';
import { KEYS } from './keys.js';
import { PIN_ENCRYPTED } from './pin-encrypted.js';
import { RECOVER } from './recover.js';
import { RECOVERY_KIT } from './recovery-kit.js';
import { REPAIR_INDEXES } from './repair-indexes.js';
import { RESET_PASSWORD } from './reset-password.js';
import { RESTORE_ARCHIVE } from './restore-archive.js';
import { RESTORE_MIGRATION_BACKUP } from './restore-migration-backup.js';
import { SETTINGS_COMMAND } from './settings.js';
import { START } from './start.js';
import { STATUS } from './status.js';
import { VERIFY } from './verify.js';

export const COMMANDS: readonly Command[] = [
  START,
  INIT,
  STATUS,
  VERIFY,
  REPAIR_INDEXES,
  ACCEPT_DATABASE,
  PIN_ENCRYPTED,
  CONFIRM_DECRYPT,
  RECOVER,
  KEYS,
  RECOVERY_KIT,
  RESTORE_ARCHIVE,
  RESTORE_MIGRATION_BACKUP,
  RESET_PASSWORD,
  SETTINGS_COMMAND,
];
