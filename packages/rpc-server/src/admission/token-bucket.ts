/** So many at once, and then so many a second. */

export interface TokenBucketOptions {
  /** At once, after a time of none. */
  readonly burst: number;
  readonly perSecond: number;
}

export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #left: number;
  #atMs: number;

  /** @param nowMs of a clock that does not jump */
  constructor(options: TokenBucketOptions, nowMs: number) {
    this.#options = options;
    this.#left = options.burst;
    this.#atMs = nowMs;
  }

  /** @returns whether there was one */
  take(nowMs: number): boolean {
    const { burst, perSecond } = this.#options;
    const grown = this.#left + ((nowMs - this.#atMs) * perSecond) / 1000;
    this.#left = Math.min(burst, grown);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
