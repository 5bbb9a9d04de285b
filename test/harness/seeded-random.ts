/**
 * Numbers from a seed: the generator mulberry32 (Tommy Ettinger, public domain), whose sequence is the same on every
 * machine. Tests need no more of randomness than that, and repeat a run by its seed.
 */
export class SeededRandom {
  #state: number;

  /** @param label so that two users of one seed do not choose alike */
  constructor(seed: number, label = '') {
    this.#state = Buffer.from(label).reduce((sum, byte) => (sum * 31 + byte) | 0, seed | 0);
  }

  /** From 0 up to 1, without it. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 up to `end`, without it. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }
}
