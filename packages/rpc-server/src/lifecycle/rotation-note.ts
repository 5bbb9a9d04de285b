/** Age and use of the active key, for status and metrics. */
import type { CredentialDatabase, DatabaseStatus } from '@vault/redis-store';
import type { KeyMetrics } from '../http/metrics.js';
import { rotationStatus } from './rotation-due.js';
import type { RotationStatus } from './rotation-due.js';

/** `rotation` in the status: when the active key is due, and why. */
export interface RotationNote {
  /** `null` where the database is plaintext. */
  readonly rotation: RotationStatus | null;
}

export function rotationNote(
  { activeKeyId, activeSince, encryptions }: DatabaseStatus,
  rotateAfterMs: number,
  nowMs: number,
): RotationNote {
  if (activeKeyId === null) return { rotation: null };
  const activeSinceMs = activeSince === null ? null : Date.parse(activeSince);
  return { rotation: rotationStatus({ activeSinceMs, encryptions }, rotateAfterMs, nowMs) };
}

/** @returns `undefined` where the database is plaintext */
export async function keyMetrics(
  database: Pick<CredentialDatabase, 'keyUse'>,
  rotateAfterMs: number,
  nowMs: number,
): Promise<KeyMetrics | undefined> {
  const use = await database.keyUse();
  if (use === undefined) return undefined;
  const { activeSinceMs, encryptions } = use;
  const { isDue } = rotationStatus(use, rotateAfterMs, nowMs);
  return { ageMs: activeSinceMs === null ? null : nowMs - activeSinceMs, encryptions, isDue };
}
