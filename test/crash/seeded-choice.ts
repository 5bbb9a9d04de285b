/** Which of all cases a run takes: all of them, or a sample that a seed repeats. */
import { randomInt } from 'node:crypto';

/** `VAULT_CRASH=all` walks every case. */
export const IS_EXHAUSTIVE = process.env['VAULT_CRASH'] === 'all';
/** `VAULT_CRASH_SEED=<n>` repeats a sample. */
export const SEED = Number(process.env['VAULT_CRASH_SEED'] ?? randomInt(2 ** 31));

/**
 * Numbers from a seed: the generator mulberry32 (Tommy Ettinger, public domain), whose sequence is the same on every
 * machine; nothing here needs more of randomness than that.
 */
export class SeededChoice {
  #state: number;

  /** @param label so that two users of one seed do not choose alike */
  constructor(label: string) {
    this.#state = Buffer.from(label).reduce((sum, byte) => (sum * 31 + byte) | 0, SEED | 0);
  }

  /** Different numbers of 1 to `max`, in order; all of them where there are no more than `count`. */
  pick(count: number, max: number): number[] {
    const chosen = new Set<number>();
    while (chosen.size < Math.min(count, max)) chosen.add(1 + Math.floor(this.#next() * max));
    return [...chosen].toSorted((a, b) => a - b);
  }

  /** From 0 up to 1, without it. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Says at the end of a test file how to run it again; past jest, which keeps such lines for itself. */
export function announceCases(what: string, cases: number): void {
  const which = IS_EXHAUSTIVE ? 'all' : `a sample, VAULT_CRASH_SEED=${SEED} repeats it`;
  process.stderr.write(`crash tests, ${what}: ${cases} cases (${which})\n`);
}

/** All of a table in an exhaustive run; `count` of it in a sample. */
export function choose<T>(all: readonly T[], count: number, label: string): T[] {
  if (IS_EXHAUSTIVE) return [...all];
  const picked = new SeededChoice(label).pick(count, all.length);
  return all.filter((_, n) => picked.includes(n + 1));
}
