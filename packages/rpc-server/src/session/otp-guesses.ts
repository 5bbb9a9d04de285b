/**
 * How many wrong one-time passwords of a user are compared. Whoever gets that far has the right
 * password, so a sign-in of the user gives no guesses back: ten at first, then one in a quarter of an
 * hour, which finds a code of six digits within a day with a chance of 1 in 3 000.
 *
 * Addresses that signed in before have a budget each: who knows the password keeps nobody out who
 * comes from where they always do. In memory, bounded, and of this process.
 */
import type { Limits } from '../limits.js';

/** Users, and addresses of them, with a wrong code of late; each cost a password check. */
const BUDGETS_MAX = 10_000;

interface Budget {
  readonly spent: number;
  readonly atMs: number;
}

export class OtpGuesses {
  readonly #max: number;
  readonly #intervalMs: number;
  readonly #now: () => number;
  /** In order of the last guess. */
  readonly #budgets = new Map<string, Budget>();

  /** @param now milliseconds since the epoch */
  constructor(limits: Pick<Limits, 'otpGuesses' | 'otpGuessIntervalMs'>, now: () => number) {
    this.#max = limits.otpGuesses;
    this.#intervalMs = limits.otpGuessIntervalMs;
    this.#now = now;
  }

  /**
   * Compares a code where a guess is left, and takes the guess where it is wrong.
   * @param knownAddress from which the user signed in before
   * @returns what `compare` gives; `undefined` where it is wrong; `spent` where nothing was compared
   */
  compare<T>(
    userId: string,
    knownAddress: string | undefined,
    compare: () => T | undefined,
  ): T | 'spent' | undefined {
    const key = `${userId} ${knownAddress ?? ''}`;
    const spent = this.#spent(key);
    if (spent + 1 > this.#max) return 'spent';
    const result = compare();
    if (result === undefined) this.#note(key, spent + 1);
    return result;
  }

  #spent(key: string): number {
    const budget = this.#budgets.get(key);
    if (budget === undefined) return 0;
    const fallen = (this.#now() - budget.atMs) / this.#intervalMs;
    return Math.max(0, budget.spent - fallen);
  }

  #note(key: string, spent: number): void {
    // Deleted and set again: in order of the last guess.
    this.#budgets.delete(key);
    this.#budgets.set(key, { spent, atMs: this.#now() });
    for (const oldest of this.#budgets.keys()) {
      if (this.#budgets.size <= BUDGETS_MAX && this.#spent(oldest) > 0) return;
      this.#budgets.delete(oldest);
    }
  }
}
