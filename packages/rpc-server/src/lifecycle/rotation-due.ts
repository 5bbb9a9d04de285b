/** When the active key is to be replaced: after an age that the operator sets, or after 2³¹ encryptions. */
import { ENCRYPTIONS_BEFORE_ROTATION } from '@vault/crypto';

/** What is known of the active key. */
export interface KeyAge {
  /** ms since the epoch; `null` where nobody wrote it down: then age never makes it due. */
  readonly activeSinceMs: number | null;
  readonly encryptions: number;
  /** Whether an operator gave a newer secret than that of the key. */
  readonly isSuperseded: boolean;
}

export interface RotationStatus {
  /** ISO 8601; `null` where the age of the key is not known. */
  readonly dueAt: string | null;
  readonly isDue: boolean;
  /** One sentence where it is due, else `null`. */
  readonly reason: string | null;
}

const MS_PER_DAY = 86_400_000;

/** @param rotateAfterMs the setting `keystore.rotateAfter` */
export function rotationStatus(
  { activeSinceMs, encryptions, isSuperseded }: KeyAge,
  rotateAfterMs: number,
  nowMs: number,
): RotationStatus {
  const dueAtMs = activeSinceMs === null ? null : activeSinceMs + rotateAfterMs;
  const dueAt = dueAtMs === null ? null : new Date(dueAtMs).toISOString();
  if (isSuperseded)
    return { dueAt, isDue: true, reason: 'a newer secret was given for a half of it' };
  if (encryptions >= ENCRYPTIONS_BEFORE_ROTATION) {
    // Random 96-bit nonces: NIST SP 800-38D, section 8.3, sets the limit.
    return { dueAt, isDue: true, reason: `the key has encrypted ${encryptions} times` };
  }
  if (activeSinceMs === null || dueAtMs === null || nowMs < dueAtMs) {
    return { dueAt, isDue: false, reason: null };
  }
  const days = Math.floor((nowMs - activeSinceMs) / MS_PER_DAY);
  const age = days === 1 ? '1 day' : `${days} days`;
  return { dueAt, isDue: true, reason: `the key is ${age} old` };
}
