/** The fences of all partitions: each is that of the seal in force, or somebody changes the state, or wrote there. */
import { StateStaleError } from '../errors.js';
import type { Partition } from '../partitions/partition.js';

export const SEAL_CHANGED = 'another process changed the seal';

/** What the keeper of the seal says. */
export interface FencesParts {
  readonly partitions: () => readonly Partition[];
  /** Bytes that are to stand there now. */
  readonly fenceOf: (partition: Partition) => string;
  /** Whether the seal that stands in Redis is the one that the fences are made of. */
  readonly isSealOurs: () => Promise<boolean>;
}

export class Fences {
  readonly #parts: FencesParts;

  constructor(parts: FencesParts) {
    this.#parts = parts;
  }

  /**
   * Puts them there.
   * @returns names of the partitions where another stood
   * @throws {StateStaleError} when another process changed the seal meanwhile: its fences are the newer ones
   */
  async raise(): Promise<string[]> {
    const { partitions, isSealOurs } = this.#parts;
    const raised = await Promise.all(
      partitions().map(async (partition) =>
        (await this.#raise(partition)) ? [partition.name] : [],
      ),
    );
    const names = raised.flat();
    // A fence that was on its way when Redis came back older stands now where our seal does not.
    if (names.length > 0 && !(await isSealOurs())) throw new StateStaleError(SEAL_CHANGED);
    return names;
  }

  async #raise(partition: Partition): Promise<boolean> {
    const { fenceOf, isSealOurs } = this.#parts;
    const fence = fenceOf(partition);
    for (;;) {
      // oxlint-disable no-await-in-loop -- another process may raise it between reading and writing
      const stands = await partition.readFence();
      if (stands === fence) return false;
      // After the fence, not before: whoever changes the seal raises the fences then, and the swap fails.
      if (!(await isSealOurs())) throw new StateStaleError(SEAL_CHANGED);
      if (await partition.swapFence(stands, fence)) return true;
      // oxlint-enable no-await-in-loop
    }
  }

  /** Partitions where another stands. */
  async stray(): Promise<string[]> {
    const { partitions, fenceOf } = this.#parts;
    const stray = await Promise.all(
      partitions().map(async (partition) =>
        (await partition.readFence()) === fenceOf(partition) ? [] : [partition.name],
      ),
    );
    return stray.flat();
  }
}
