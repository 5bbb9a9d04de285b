/** Reads whole collections in bounded batches, one batch ahead of its user, in one order: collection, partition, bytes of the id. */
import type { Partition } from '../partition.js';
import type { FiledCollection } from '../sealed-definitions.js';

export interface RecordBatch {
  readonly collection: FiledCollection;
  readonly partition: Partition;
  readonly ids: readonly string[];
  /** Aligned with `ids`; `undefined`: listed, but there is no record. */
  readonly values: readonly (Buffer | undefined)[];
}

/** A batch is to be about this long, so that memory stays flat whatever the records are. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_MAX_RECORDS = 1000;
const BATCH_MIN_RECORDS = 8;
const FIRST_BATCH_RECORDS = 64;

/** All records of the collections. */
export async function* readRecords(
  collections: readonly FiledCollection[],
): AsyncGenerator<RecordBatch> {
  for (const collection of collections) {
    for (const partition of collection.partitions) yield* readPartition(collection, partition);
  }
}

async function* readPartition(
  collection: FiledCollection,
  partition: Partition,
): AsyncGenerator<RecordBatch> {
  let limit = FIRST_BATCH_RECORDS;
  let next = readBatch(collection, partition, '', limit);
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- batches follow each other
    const batch = await next;
    const last = batch.ids.at(-1);
    if (last === undefined) return;
    limit = recordsThatFit(batch);
    next = readBatch(collection, partition, last, limit);
    // The user of this batch may throw before the next one is asked for.
    next.catch(() => undefined);
    yield batch;
  }
}

async function readBatch(
  collection: FiledCollection,
  partition: Partition,
  after: string,
  limit: number,
): Promise<RecordBatch> {
  const ids = await partition.pageIds(after, limit);
  return { collection, partition, ids, values: await partition.readMany(ids) };
}

function recordsThatFit({ ids, values }: RecordBatch): number {
  const bytes = values.reduce((sum, value) => sum + (value?.length ?? 0), 0);
  const fitting = Math.floor(BATCH_BYTES / Math.max(1, bytes / ids.length));
  return Math.min(BATCH_MAX_RECORDS, Math.max(BATCH_MIN_RECORDS, fitting));
}

/** How many records the collections list. */
export async function countRecords(collections: readonly FiledCollection[]): Promise<number> {
  const partitions = collections.flatMap((collection) => collection.partitions);
  const counts = await Promise.all(partitions.map((partition) => partition.count()));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Order of Redis' sorted sets: by bytes of UTF-8. */
export function compareIds(a: string, b: string): number {
  if (a === b) return 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Lets a few writes be under way while the next batch is prepared, and passes on their failure. */
export class WriteWindow {
  readonly #size: number;
  readonly #underWay: Promise<unknown>[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Waits until there is room, then takes the write in. @throws what an earlier write threw */
  async add(write: () => Promise<unknown>): Promise<void> {
    while (this.#underWay.length >= this.#size) {
      // oxlint-disable-next-line no-await-in-loop -- the oldest first
      await this.#underWay.shift();
    }
    const promise = write();
    // Its failure is thrown by the `add` or `end` that awaits it.
    promise.catch(() => undefined);
    this.#underWay.push(promise);
  }

  /** Waits for all of them. */
  async end(): Promise<void> {
    await Promise.all(this.#underWay.splice(0));
  }
}
