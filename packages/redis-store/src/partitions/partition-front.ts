/** A partition as concurrent callers use it: what they ask in one turn of the event loop shares a command. */
import { CALL_MAX_RECORDS } from './partition.js';
import type { Found, Lookup, Partition, WriteOp, WriteResult } from './partition.js';
import { TurnBatcher } from './turn-batcher.js';

interface Fenced<Item> {
  readonly fence: string;
  readonly item: Item;
}

/**
 * Work of one script call: with more, Redis and this process would wait for each other in turn, where
 * it now runs one call while the answers of another are opened.
 */
const OPERATIONS_PER_SCRIPT = 32;

export class PartitionFront {
  readonly #reads: TurnBatcher<string, Buffer | undefined>;
  readonly #writes: TurnBatcher<Fenced<WriteOp>, WriteResult>;
  readonly #lookups: TurnBatcher<Fenced<Lookup>, Found>;

  /** @param readMany reads records of the partition by their ids; default: as they are, whatever fence stands */
  constructor(
    partition: Partition,
    readMany = (ids: readonly string[]): Promise<readonly (Buffer | undefined)[]> =>
      partition.readMany(ids),
  ) {
    this.#reads = new TurnBatcher(readMany, CALL_MAX_RECORDS);
    this.#writes = new TurnBatcher(
      (ops) => byFence(ops, (fence, items) => partition.apply(fence, items)),
      OPERATIONS_PER_SCRIPT,
    );
    this.#lookups = new TurnBatcher(
      (lookups) => byFence(lookups, (fence, items) => partition.findAll(fence, items)),
      OPERATIONS_PER_SCRIPT,
    );
  }

  read(id: string): Promise<Buffer | undefined> {
    return this.#reads.submit(id);
  }

  write(fence: string, op: WriteOp): Promise<WriteResult> {
    return this.#writes.submit({ fence, item: op });
  }

  find(fence: string, lookup: Lookup): Promise<Found> {
    return this.#lookups.submit({ fence, item: lookup });
  }
}

/** Items under one fence go together; nearly always there is but one fence. */
async function byFence<Item, Result>(
  fenced: readonly Fenced<Item>[],
  run: (fence: string, items: readonly Item[]) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const first = fenced[0]?.fence ?? '';
  if (fenced.every(({ fence }) => fence === first)) {
    return run(
      first,
      fenced.map(({ item }) => item),
    );
  }
  const results: Result[] = [];
  const fences = new Set(fenced.map(({ fence }) => fence));
  await Promise.all(
    [...fences].map(async (fence) => {
      const places = [...fenced.keys()].filter((place) => fenced[place]?.fence === fence);
      const items = places.flatMap((place) => fenced[place]?.item ?? []) as Item[];
      const own = await run(fence, items);
      places.forEach((place, i) => (results[place] = own[i] as Result));
    }),
  );
  return results;
}
