/**
 * Long work over many records, in slices of some milliseconds: between two of them sockets are read,
 * health is answered and timers run. All such work of the process takes turns: one slice in each round
 * of the event loop, however many ask.
 */

/** Long enough that a round of the event loop is little beside it. */
const SLICE_MS = 5;

const waiting: (() => void)[] = [];

function nextRound(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(nextRound);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(nextRound);
  });
}

export class WorkSlice {
  #sinceMs = performance.now();

  /**
   * Call after each step.
   * @returns what to wait for where the slice is used up
   */
  usedUp(): Promise<void> | undefined {
    if (performance.now() - this.#sinceMs < SLICE_MS) return undefined;
    return turn().then(() => {
      this.#sinceMs = performance.now();
    });
  }
}

/** What of `items` passes, looked at in slices. */
export async function filterInSlices<Item>(
  items: readonly Item[],
  isWanted: (item: Item) => boolean,
): Promise<Item[]> {
  const slice = new WorkSlice();
  const wanted: Item[] = [];
  for (const item of items) {
    if (isWanted(item)) wanted.push(item);
    const isOver = slice.usedUp();
    // oxlint-disable-next-line no-await-in-loop -- that is the slice's end
    if (isOver !== undefined) await isOver;
  }
  return wanted;
}
