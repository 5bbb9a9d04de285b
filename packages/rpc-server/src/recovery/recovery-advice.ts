/** What an operator does about halves that do not open the database. */
import { DegradedError } from '@vault/redis-store';
import type { DegradedReason } from '@vault/redis-store';
import { readUnprovenKitState } from './kit-state.js';

const HALF_REASONS: ReadonlySet<DegradedReason> = new Set<DegradedReason>([
  'keysMissing',
  'oneHalf',
  'decryptionFailed',
  'keyLoadingFailed',
]);

/** The same error, with advice where a half is missing, corrupt or of another key. */
export async function withRecoveryAdvice(
  error: DegradedError,
  dataDir: string,
): Promise<DegradedError> {
  const { reason, details } = error;
  if (!HALF_REASONS.has(reason) || details.advice !== undefined) return error;
  const kit = await readUnprovenKitState(dataDir);
  const isOfNeededKey = kit !== undefined && kit.keyId === details.neededKeyId;
  const half = isOfNeededKey
    ? `run \`vault-server recovery-kit restore <file>\` with the recovery kit that was made ${kit.createdAt}`
    : 'put the half back where it was, by hand or with `vault-server recovery-kit restore <file>`';
  const advice = `${half}, and restart; where it is lost for ever, \`vault-server recover\` takes a config backup instead`;
  return new DegradedError(reason, { ...details, advice }, { cause: error.cause });
}
