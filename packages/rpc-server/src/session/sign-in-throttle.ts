/**
 * One password attempt a name at a time, and none for a while after a failed one.
 *
 * The name is reserved *before* the password is checked: of a thousand attempts sent at once the first
 * is checked, and the others wait for its outcome; once one fails, all that wait are refused
 * unchecked. So two programs that sign in at once with the right password both get in. An attempt
 * that is refused does not push the time back: nobody can lock a user out for longer than the delay.
 * One that ended before the password was checked says nothing of it, and holds nobody up.
 */
import { normaliseValue } from '@vault/crypto';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';

/** Attempts of one name that wait; more are refused. */
const WAITING_MAX = 32;

/** `unchecked`: given up before the password was compared, as by a full queue or a Redis that is away. */
export type AttemptOutcome = 'right' | 'wrong' | 'unchecked';

interface Entry {
  /** How the attempt under way ends; `undefined` after a wrong one. */
  readonly outcome: Promise<AttemptOutcome> | undefined;
  readonly failedAtMs: number;
  waiting: number;
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
  async reserve(name: string): Promise<((outcome: AttemptOutcome) => void) | undefined> {
    // A digest: a stranger's names may be long, and are held for the delay.
    const key = createHash('sha256').update(normaliseValue(name.trim())).digest('base64');
    for (;;) {
      this.#forget(this.#now());
      const known = this.#entries.get(key);
      if (known === undefined) return this.#take(key);
      if (known.outcome === undefined || known.waiting >= WAITING_MAX) return undefined;
      known.waiting += 1;
      // oxlint-disable-next-line no-await-in-loop -- behind each attempt there may be another one
      if ((await known.outcome) === 'wrong') return undefined;
    }
  }

  #take(key: string): (outcome: AttemptOutcome) => void {
    const settled = new EventEmitter();
    const outcome = once(settled, 'outcome').then(([ended]) => ended as AttemptOutcome);
    this.#entries.set(key, { outcome, failedAtMs: 0, waiting: 0 });
    return (ended) => {
      // Deleted and set again: entries that failed stand in order of time, which #forget relies on.
      this.#entries.delete(key);
      if (ended === 'wrong' && this.#delayMs > 0) {
        this.#entries.set(key, { outcome: undefined, failedAtMs: this.#now(), waiting: 0 });
      }
      settled.emit('outcome', ended);
    };
  }

  /** Names that are held now: bounded, as each costs a password check. */
  get size(): number {
    return this.#entries.size;
  }

  #forget(nowMs: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.outcome !== undefined) continue;
      if (nowMs - entry.failedAtMs < this.#delayMs) return;
      this.#entries.delete(key);
    }
  }
}
