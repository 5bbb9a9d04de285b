/**
 * A few run at once, a few wait behind them, and each share has its turn: who sends much waits for
 * himself. Where the queue is full, the share with the most gives way to one with less, and
 * strangers give way to those who are known.
 */

/** On whose account something runs. */
export interface Share {
  /** An address, or a signed-in user. */
  readonly key: string;
  /** Signed in, or an address that signed in with the name before: no stranger takes the place. */
  readonly isKnown: boolean;
}

export interface FairQueueOptions {
  readonly atOnce: number;
  /** Those who wait behind; one more is refused. */
  readonly waiting: number;
}

interface Line {
  readonly share: Share;
  /** Each is told whether it may begin. */
  readonly waiting: ((isAdmitted: boolean) => void)[];
}

export class FairQueue {
  readonly #options: FairQueueOptions;
  /** In the order of their turns; none is empty. */
  readonly #lines = new Map<string, Line>();
  #running = 0;
  #waiting = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  /**
   * Runs `work` when it is its turn.
   * @throws what `refusal` makes, when too many wait, `work` not begun
   */
  async run<T>(share: Share, work: () => Promise<T>, refusal: () => Error): Promise<T> {
    if (!(await this.#admitted(share))) throw refusal();
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  async #admitted(share: Share): Promise<boolean> {
    if (this.#running < this.#options.atOnce) {
      this.#running += 1;
      return true;
    }
    if (this.#waiting >= this.#options.waiting && !this.#makeRoom(share)) return false;
    const key = `${share.isKnown} ${share.key}`;
    const line = this.#lines.get(key) ?? { share, waiting: [] };
    this.#lines.set(key, line);
    this.#waiting += 1;
    return new Promise((resolve) => line.waiting.push(resolve));
  }

  /** Whoever finishes hands the place over, so `#running` is not raised. */
  #next(): void {
    const [first] = this.#lines;
    if (first === undefined) {
      this.#running -= 1;
      return;
    }
    const [key, line] = first;
    const begin = line.waiting.shift();
    this.#waiting -= 1;
    // To the end of the turns.
    this.#lines.delete(key);
    if (line.waiting.length > 0) this.#lines.set(key, line);
    begin?.(true);
  }

  /** Sends the last of the longest line away, where that is fair. */
  #makeRoom(share: Share): boolean {
    const own = this.#lines.get(`${share.isKnown} ${share.key}`)?.waiting.length ?? 0;
    const strangers = [...this.#lines].filter(([, line]) => !line.share.isKnown);
    const isPreferred = share.isKnown && strangers.length > 0;
    // Strangers take no place of those who are known.
    const candidates = isPreferred || !share.isKnown ? strangers : [...this.#lines];
    const [longest] = candidates.toSorted(([, a], [, b]) => b.waiting.length - a.waiting.length);
    if (longest === undefined) return false;
    const [key, line] = longest;
    if (!isPreferred && line.waiting.length < own + 2) return false;
    const sentAway = line.waiting.pop();
    this.#waiting -= 1;
    if (line.waiting.length === 0) this.#lines.delete(key);
    sentAway?.(false);
    return true;
  }
}
