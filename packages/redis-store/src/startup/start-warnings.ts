/** What a start that went well warns of. */
import type { CustodyReport } from '@vault/crypto';
import type { StoreLogger } from '../store-logger.js';
import type { Intent } from './encryption-intent.js';

const KEEP_ADVICE = 'set encryptCredentialDatabase = true to keep it so';

/**
 * Of a setting that does not say what is done, of plaintext, of halves that the setting has no use
 * for, or that live too close together.
 */
export function warnOfStart(
  logger: StoreLogger,
  intent: Intent,
  { state, ring, custodyWarnings }: CustodyReport,
  keptKeysBecause: string | undefined,
): void {
  if (intent.isEncrypting) {
    warnOfIntent(logger, intent);
    for (const warning of custodyWarnings) logger.warn(warning);
    return;
  }
  logger.warn('Encryption is off: credentials are stored in plaintext', {
    advice: 'set encryptCredentialDatabase = true and restart',
  });
  // Those that are kept after a decryption were named with the reason.
  if (state === 'none' || keptKeysBecause !== undefined) return;
  const message = 'Encryption is off, and there are key halves: they are left alone';
  logger.warn(message, { state, keyIds: ring.ids });
}

function warnOfIntent(logger: StoreLogger, { because }: Intent): void {
  if (because === 'origin') {
    logger.warn('The setting of encryption is absent: a database made encrypted stays so', {
      advice: `${KEEP_ADVICE}; only an explicit false decrypts`,
    });
  }
  if (because === 'pin') {
    logger.error('The database is pinned: it stays encrypted, whatever the configuration says', {
      advice: `${KEEP_ADVICE}; to decrypt it, set false, run vault-server confirm-decrypt and restart`,
    });
  }
}
