/**
 * Changes of users run one at a time. Callers take turns, and of one caller the credentials do: whoever
 * asks for a change waits for the one under way and one of each other caller at most, however many those
 * have sent.
 */
import { FairQueue } from './fair-queue.js';
import type { Identity } from './session.js';

/** On whose account a change runs; one of the server itself has no user. */
export type ChangeCaller = Pick<Identity, 'userId' | 'tokenId'>;

interface Line {
  readonly queue: FairQueue;
  /** Changes that run or wait in it. */
  length: number;
}

/** How many calls may wait is the matter of whoever took them in. */
const ONE_AT_A_TIME = { atOnce: 1, waiting: Infinity } as const;

function refusal(): Error {
  return new RangeError('a queue without an end refuses nobody');
}

export class ChangeTurns {
  readonly #callers = new FairQueue(ONE_AT_A_TIME);
  /** By user: their sessions by password together, and each token of theirs. None is empty. */
  readonly #lines = new Map<string, Line>();

  async run<T>(caller: ChangeCaller | undefined, change: () => Promise<T>): Promise<T> {
    const { userId = '', tokenId = '' } = caller ?? {};
    const line = this.#lines.get(userId) ?? { queue: new FairQueue(ONE_AT_A_TIME), length: 0 };
    this.#lines.set(userId, line);
    line.length += 1;
    const own = { key: tokenId, isKnown: true };
    // A caller stands in the turns with one change, so that its credentials take turns for it.
    const inTurn = (): Promise<T> =>
      this.#callers.run({ key: userId, isKnown: true }, change, refusal);
    try {
      return await line.queue.run(own, inTurn, refusal);
    } finally {
      line.length -= 1;
      if (line.length === 0) this.#lines.delete(userId);
    }
  }
}
