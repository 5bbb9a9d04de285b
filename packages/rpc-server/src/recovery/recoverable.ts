/** In which degraded states recovery mode helps: where the database cannot be opened, and never will be without its keys. */
import type { DegradedReason } from '@vault/redis-store';

/** `true`, or what to do instead, as the end of a sentence. */
const RECOVERY_BY_REASON = {
  keysMissing: true,
  oneHalf: true,
  decryptionFailed: true,
  keyLoadingFailed: true,
  foreignDatabase: true,
  migrationFailed: true,
  startFailed: true,
  encryptionFailed: 'new keys cannot be written either; mend the half sources first',
  newerLayout: 'a newer version of the server opens the database; install that one',
  oppositeSetting: 'another server uses the database; stop that one first',
  foreignRedis: 'this Redis is another system’s; give the server one of its own',
  redisUnusable: 'there is no Redis to recover into; mend that first',
} as const satisfies Record<DegradedReason, true | string>;

/** @returns why recovery mode would not help, or `undefined` when it does */
export function recoveryRefusal(reason: DegradedReason): string | undefined {
  const refusal = RECOVERY_BY_REASON[reason];
  return refusal === true ? undefined : refusal;
}
