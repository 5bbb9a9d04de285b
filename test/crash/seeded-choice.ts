/** Which of all cases a run takes: all of them, or a sample that a seed repeats. */
import { randomInt } from 'node:crypto';
import { SeededRandom } from '../harness/seeded-random.js';

/** `VAULT_CRASH=all` walks every case. */
export const IS_EXHAUSTIVE = process.env['VAULT_CRASH'] === 'all';
/** `VAULT_CRASH_SEED=<n>` repeats a sample. */
export const SEED = Number(process.env['VAULT_CRASH_SEED'] ?? randomInt(2 ** 31));

/** Chooses cases by a seed. */
export class SeededChoice {
  readonly #random: SeededRandom;

  /** @param label so that two users of one seed do not choose alike */
  constructor(label: string) {
    this.#random = new SeededRandom(SEED, label);
  }

  /** Different numbers of 1 to `max`, in order; all of them where there are no more than `count`. */
  pick(count: number, max: number): number[] {
    const chosen = new Set<number>();
    while (chosen.size < Math.min(count, max)) chosen.add(1 + this.#random.below(max));
    return [...chosen].toSorted((x, y) => x - y);
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
