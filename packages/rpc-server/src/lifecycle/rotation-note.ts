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

/** @param waitsBecause why the key of a newer secret is not in use yet */
export function rotationNote(
  { activeKeyId, activeSince, encryptions, isSuperseded }: DatabaseStatus,
  rotateAfterMs: number,
  nowMs: number,
  waitsBecause?: string,
): RotationNote {
  if (activeKeyId === null) return { rotation: null };
  const activeSinceMs = activeSince === null ? null : Date.parse(activeSince);
  const age = { activeSinceMs, encryptions, isSuperseded };
  const rotation = rotationStatus(age, rotateAfterMs, nowMs);
  if (!isSuperseded || waitsBecause === undefined) return { rotation };
  return {
    rotation: { ...rotation, reason: `${rotation.reason ?? ''}; it waits: ${waitsBecause}` },
  };
}

/** @returns `undefined` where the database is plaintext */
export async function keyMetrics(
  database: Pick<CredentialDatabase, 'keyUse' | 'missingHalves'>,
  rotateAfterMs: number,
  nowMs: number,
): Promise<KeyMetrics | undefined> {
  const use = await database.keyUse();
  if (use === undefined) return undefined;
  const { activeSinceMs, encryptions } = use;
  const { isDue } = rotationStatus(use, rotateAfterMs, nowMs);
  const ageMs = activeSinceMs === null ? null : nowMs - activeSinceMs;
  return { ageMs, encryptions, isDue, missingHalves: database.missingHalves.length };
}
