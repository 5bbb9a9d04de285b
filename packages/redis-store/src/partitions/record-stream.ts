/** Reads whole collections in bounded batches, some ahead of their user, in one order: collection, partition, bytes of the id. */
import { CALL_MAX_RECORDS } from './partition.js';
import type { Partition } from './partition.js';
import type { FiledCollection } from './sealed-definitions.js';

export interface RecordBatch {
  readonly collection: FiledCollection;
  readonly partition: Partition;
  readonly ids: readonly string[];
  /** Aligned with `ids`; `undefined`: listed, but there is no record. */
  readonly values: readonly (Buffer | undefined)[];
}

/** A batch is to be about this long, so that memory stays flat whatever the records are. */
const BATCH_BYTES = 256 * 1024;
/** A batch is written in one call. */
const BATCH_MAX_RECORDS = CALL_MAX_RECORDS;
const BATCH_MIN_RECORDS = 8;
const FIRST_BATCH_RECORDS = 32;
/** Batches asked for and not yet used: Redis answers them while the user of one computes, behind the writes of others. */
const READ_AHEAD = 4;

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
  const ahead: Promise<RecordBatch>[] = [];
  let limit = FIRST_BATCH_RECORDS;
  // The first tells how long records are; only then is more than one batch asked for.
  let depth = 1;
  let ids: Promise<readonly string[]> = partition.pageIds('', limit);
  for (;;) {
    while (ahead.length < depth) {
      ahead.push(readBatch(collection, partition, ids));
      ids = nextIds(partition, ids, limit);
    }
    // oxlint-disable-next-line no-await-in-loop -- batches follow each other
    const batch = await ahead.shift();
    if (batch === undefined || batch.ids.length === 0) return;
    limit = recordsThatFit(batch);
    depth = READ_AHEAD;
    // A turn of the event loop: what is on its way to Redis leaves before the user of the batch computes.
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    yield batch;
  }
}

function nextIds(
  partition: Partition,
  before: Promise<readonly string[]>,
  limit: number,
): Promise<readonly string[]> {
  return heeded(
    before.then((ids) => {
      const last = ids.at(-1);
      return last === undefined ? [] : partition.pageIds(last, limit);
    }),
  );
}

function readBatch(
  collection: FiledCollection,
  partition: Partition,
  asked: Promise<readonly string[]>,
): Promise<RecordBatch> {
  return heeded(
    asked.then(async (ids) => ({
      collection,
      partition,
      ids,
      values: await partition.readMany(ids),
    })),
  );
}

/** What is asked ahead may fail before it is awaited, or when nobody will any more. */
function heeded<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
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
