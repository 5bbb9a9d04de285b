/**
 * One password attempt a name at a time, and none for a while after a failed one.
 *
 * The name is reserved *before* the password is checked: a thousand attempts sent at once are one
 * attempt. An attempt that is refused does not push the time back, so nobody can lock a user out for
 * longer than the delay by trying more.
 */
import { normaliseValue } from '@vault/crypto';

interface Entry {
  /** An attempt is being checked now. */
  isRunning: boolean;
  failedAtMs: number;
}

export interface ThrottleOptions {
  /** Milliseconds after a failure. */
  readonly delayMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class SignInThrottle {
  readonly #entries = new Map<string, Entry>();
  readonly #delayMs: number;
  readonly #now: () => number;

  constructor({ delayMs, now }: ThrottleOptions) {
    this.#delayMs = delayMs;
    this.#now = now;
  }

  /**
   * Reserves the name. Names that differ only in case, blanks around or Unicode form are one name.
   * @returns how to say the outcome, exactly once; `undefined` when it is too early
   */
  reserve(name: string): ((succeeded: boolean) => void) | undefined {
    const key = normaliseValue(name.trim());
    const nowMs = this.#now();
    this.#forget(nowMs);
    const known = this.#entries.get(key);
    if (known !== undefined) return undefined;
    const entry: Entry = { isRunning: true, failedAtMs: 0 };
    this.#entries.set(key, entry);
    return (succeeded) => {
      // Deleted and set again: entries that failed stand in order of time, which #forget relies on.
      this.#entries.delete(key);
      if (succeeded || this.#delayMs === 0) return;
      this.#entries.set(key, { isRunning: false, failedAtMs: this.#now() });
    };
  }

  /** Names that are held now: bounded, as each costs a password check. */
  get size(): number {
    return this.#entries.size;
  }

  #forget(nowMs: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.isRunning) continue;
      if (nowMs - entry.failedAtMs < this.#delayMs) return;
      this.#entries.delete(key);
    }
  }
}
