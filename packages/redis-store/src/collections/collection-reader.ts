/**
 * Reads and opens the records of one collection under the view in force, for {@link Collection}. Each read takes the fence
 * of the same instant with it: a process that slept, or was cut off, while the database changed its state notices at its
 * first read, and neither returns what was left or planted under the old state, nor misses what is there under the new one.
 * What the view does not explain (another key, another form) makes it reload the view once and read again.
 */
import type { CollectionDefinition } from '../records/collection-definition.js';
import type { DatabaseView, ViewSource } from '../state/database-state.js';
import { RecordUnreadableError, StateStaleError } from '../errors.js';
import { fenceBytes } from '../state/fence.js';
import { entriesWithout } from '../records/filed-entry.js';
import type { FiledEntry } from '../records/filed-entry.js';
import { reindexingOf } from './reindexing.js';
import type { Reindexing } from './reindexing.js';
import { PartitionFront } from '../partitions/partition-front.js';
import type { CredentialRecord } from '../records/json-record.js';
import { openingRules } from '../state/opening-rules.js';
import { partitionNumber, partitionsOf } from '../partitions/partition.js';
import type { Partition } from '../partitions/partition.js';
import { Revision } from './revision.js';
import { RecordCodec } from '../records/record-codec.js';
import type { OpeningRules } from '../records/record-codec.js';
import type { RedisLink } from '../redis/redis-link.js';

/** A record as read. */
export interface Stored {
  readonly id: string;
  readonly record: CredentialRecord;
  readonly revision: Revision;
}

/** A record, nothing, or why what is stored cannot be read. */
export type Opened = Stored | undefined | RecordUnreadableError;

/** A page of a collection. */
export interface OpenedPage {
  readonly ids: readonly string[];
  /** Aligned with `ids`. */
  readonly items: readonly Opened[];
}

/** View, opening rules and the fence of each partition belong together, and are made once a view. */
export interface ViewInForce {
  readonly view: DatabaseView;
  readonly rules: OpeningRules;
  readonly fences: readonly string[];
  /** The same as Redis gives them back. */
  readonly fenceBytes: readonly Buffer[];
  readonly reindexing: Reindexing | undefined;
}

/** Records asked for at once: they are opened while Redis reads the next ones. */
export const READ_CHUNK = 128;
/** A state that changes oftener than this during one operation is not waited for. */
const STALE_ATTEMPTS = 5;

export class CollectionReader {
  readonly codec: RecordCodec;
  readonly partitions: readonly Partition[];
  readonly fronts: readonly PartitionFront[];
  readonly #views: ViewSource;
  readonly #prefix: string;
  #inForce: ViewInForce | undefined;

  constructor(link: RedisLink, name: string, definition: CollectionDefinition, views: ViewSource) {
    this.codec = new RecordCodec(name, definition);
    this.partitions = partitionsOf(link, name, definition);
    this.fronts = this.partitions.map(
      (partition, number) =>
        new PartitionFront(partition, (ids) => this.#readBatch(partition, number, ids)),
    );
    this.#views = views;
    this.#prefix = link.names.prefix;
  }

  /** Number of the partition that a record lives in. */
  numberOf(id: string): number {
    return partitionNumber(id, this.partitions.length);
  }

  frontOf(id: string): PartitionFront {
    const front = this.fronts[this.numberOf(id)];
    if (front === undefined) throw new RangeError('a collection has at least one partition');
    return front;
  }

  current(): ViewInForce {
    const view = this.#views.current();
    if (this.#inForce?.view !== view) {
      const fences = this.partitions.map(({ name }) => fenceBytes(view, this.#prefix, name));
      this.#inForce = {
        view,
        rules: openingRules(view),
        fences,
        fenceBytes: fences.map((fence) => Buffer.from(fence)),
        reindexing: reindexingOf(this.codec.collection, view),
      };
    }
    return this.#inForce;
  }

  /** The entries that stored bytes may be filed under. */
  filedIn(stored: Buffer): FiledEntry[] {
    const { reindexing } = this.current();
    const filed = this.codec.filedIn(stored);
    if (reindexing === undefined) return filed;
    return [...filed, ...entriesWithout(reindexing.codec.filedIn(stored), filed)];
  }

  /**
   * Runs something under the view in force, and under a fresh one where that was stale.
   * @throws {StateStaleError} when the state goes on changing
   */
  async withView<T>(use: (inForce: ViewInForce) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- each attempt follows a reload
        return await use(this.current());
      } catch (error) {
        if (!(error instanceof StateStaleError) || attempt >= STALE_ATTEMPTS) throw error;
        // oxlint-disable-next-line no-await-in-loop
        await this.#views.reload('a partition stands under another fence');
      }
    }
  }

  /** The stored bytes of one record; what callers ask in one turn of the event loop is one command. */
  read(id: string): Promise<Buffer | undefined> {
    return this.frontOf(id).read(id);
  }

  /** The stored bytes, aligned with `ids`, in one command a partition. */
  readAll(ids: readonly string[]): Promise<(Buffer | undefined)[]> {
    return this.withView((inForce) => this.#readUnder(inForce, ids));
  }

  /** Records in the order of their ids: up to `limit` that come after `after`. */
  page(after: string, limit: number): Promise<OpenedPage> {
    return this.withView(async (inForce) => {
      const pages = await Promise.all(
        this.partitions.map((partition) => partition.pageIds(after, limit)),
      );
      const merged = pages.length === 1 ? (pages[0] ?? []) : pages.flat().toSorted();
      const ids = merged.slice(0, limit);
      const chunks = await Promise.all(
        chunksOf(ids, READ_CHUNK).map(async (chunk) =>
          this.openAll(chunk, await this.#readUnder(inForce, chunk)),
        ),
      );
      // The fence of those that gave an id was compared with their records.
      const others = pages.flatMap((own, number) => (own.length === 0 ? [number] : []));
      await Promise.all(others.map((number) => this.#readPartition(inForce, number, [])));
      return { ids, items: chunks.flat() };
    });
  }

  /** How many ids all partitions list. */
  count(): Promise<number> {
    return this.withView(async (inForce) => {
      const counts = await Promise.all(
        this.partitions.map(async (partition, number) => {
          const count = await partition.count();
          await this.#readPartition(inForce, number, []);
          return count;
        }),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    });
  }

  async #readUnder(inForce: ViewInForce, ids: readonly string[]): Promise<(Buffer | undefined)[]> {
    if (this.partitions.length === 1) return this.#readPartition(inForce, 0, ids);
    const found = new Map<string, Buffer | undefined>();
    await Promise.all(
      this.partitions.map(async (_, number) => {
        const own = ids.filter((id) => this.numberOf(id) === number);
        if (own.length === 0) return;
        const values = await this.#readPartition(inForce, number, own);
        own.forEach((id, i) => found.set(id, values[i]));
      }),
    );
    return ids.map((id) => found.get(id));
  }

  /** As {@link readAll} for one partition, short where nothing changed: it is the way of each single read. */
  async #readBatch(
    partition: Partition,
    number: number,
    ids: readonly string[],
  ): Promise<(Buffer | undefined)[]> {
    const expected = this.current().fenceBytes[number];
    const { fence, value } = await partition.readManyFenced(ids);
    if (expected !== undefined && fence?.equals(expected) === true) return value;
    return this.withView((inForce) => this.#readPartition(inForce, number, ids));
  }

  /** @throws {StateStaleError} when the partition is not under the view any more: now, and whenever it was read before */
  async #readPartition(
    inForce: ViewInForce,
    number: number,
    ids: readonly string[],
  ): Promise<(Buffer | undefined)[]> {
    const partition = this.partitions[number];
    const expected = inForce.fenceBytes[number];
    if (partition === undefined || expected === undefined)
      throw new RangeError('no such partition');
    const { fence, value } = await partition.readManyFenced(ids);
    if (fence?.equals(expected) !== true) await this.#checkStands(inForce);
    return value;
  }

  /**
   * Another fence was met. Where the seal is still that of the view, nothing changed: the fence is on its way, or
   * somebody wrote there, which is a matter of the next write.
   * @throws {StateStaleError}
   */
  async #checkStands({ view }: ViewInForce): Promise<void> {
    if (!(await this.#views.stands(view))) throw new StateStaleError();
  }

  /** Opens stored bytes, aligned with their ids. */
  async openAll(
    ids: readonly string[],
    stored: readonly (Buffer | undefined)[],
  ): Promise<Opened[]> {
    const items = this.#openOnce(ids, stored);
    if (!items.some((item) => item instanceof RecordUnreadableError)) return items;
    const failed = ids.filter((_, i) => items[i] instanceof RecordUnreadableError);
    await this.#views.reload('a record is of an unknown form or key');
    const again = this.#openOnce(failed, await this.readAll(failed));
    const byId = new Map(failed.map((id, i) => [id, again[i]]));
    return ids.map((id, i) => (byId.has(id) ? byId.get(id) : items[i]));
  }

  /**
   * Opens one record: at once, unless it cannot be read under the view in force.
   * @returns `undefined` when it was removed meanwhile
   * @throws {RecordUnreadableError}
   */
  open(id: string, stored: Buffer): Stored | Promise<Stored | undefined> {
    const item = this.#openOne(this.current().rules, id, stored);
    return item instanceof RecordUnreadableError ? this.#openAfresh(id, stored) : item;
  }

  async #openAfresh(id: string, stored: Buffer): Promise<Stored | undefined> {
    const [item] = await this.openAll([id], [stored]);
    if (item instanceof RecordUnreadableError) throw item;
    return item;
  }

  #openOnce(ids: readonly string[], stored: readonly (Buffer | undefined)[]): Opened[] {
    const { rules } = this.current();
    return ids.map((id, i) => {
      const bytes = stored[i];
      return bytes === undefined ? undefined : this.#openOne(rules, id, bytes);
    });
  }

  #openOne(rules: OpeningRules, id: string, bytes: Buffer): Stored | RecordUnreadableError {
    try {
      const { record, json } = this.codec.readContent(rules, id, bytes);
      return { id, record, revision: new Revision(bytes, json) };
    } catch (error) {
      if (error instanceof RecordUnreadableError) return error;
      throw error;
    }
  }
}

export function chunksOf<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < items.length; at += size) chunks.push(items.slice(at, at + size));
  return chunks;
}
