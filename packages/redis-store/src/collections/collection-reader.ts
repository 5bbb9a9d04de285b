/**
 * Reads and opens the records of one collection under the view in force, for {@link Collection}. What
 * the view does not explain (another key, another form) makes it reload the view once and read again.
 */
import type { CollectionDefinition } from '../records/collection-definition.js';
import type { DatabaseView, ViewSource } from '../state/database-state.js';
import { RecordUnreadableError } from '../errors.js';
import { fenceBytes } from '../state/fence.js';
import { PartitionFront } from '../partitions/partition-front.js';
import type { CredentialRecord } from '../records/json-record.js';
import { openingRules } from '../state/opening-rules.js';
import { partitionNumber, partitionsOf } from '../partitions/partition.js';
import type { Partition } from '../partitions/partition.js';
import { RecordCodec } from '../records/record-codec.js';
import type { OpeningRules } from '../records/record-codec.js';
import type { RedisLink } from '../redis/redis-link.js';

declare const revisionBrand: unique symbol;
/** What was stored when a record was read; handed back, it makes a write conditional. Opaque. */
export type Revision = Buffer & { readonly [revisionBrand]: true };

/** A record as read. */
export interface Stored {
  readonly id: string;
  readonly record: CredentialRecord;
  readonly revision: Revision;
}

/** A record, nothing, or why what is stored cannot be read. */
export type Opened = Stored | undefined | RecordUnreadableError;

/** View, opening rules and the fence of each partition belong together, and are made once a view. */
export interface ViewInForce {
  readonly view: DatabaseView;
  readonly rules: OpeningRules;
  readonly fences: readonly string[];
}

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
    this.fronts = this.partitions.map((partition) => new PartitionFront(partition));
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
      this.#inForce = {
        view,
        rules: openingRules(view),
        fences: this.partitions.map(({ name }) => fenceBytes(view, this.#prefix, name)),
      };
    }
    return this.#inForce;
  }

  async reload(reason: string): Promise<void> {
    await this.#views.reload(reason);
  }

  /** The stored bytes, aligned with `ids`, in one command a partition. */
  async readAll(ids: readonly string[]): Promise<(Buffer | undefined)[]> {
    const [only] = this.partitions;
    if (only !== undefined && this.partitions.length === 1) return only.readMany(ids);
    const found = new Map<string, Buffer | undefined>();
    await Promise.all(
      this.partitions.map(async (partition, number) => {
        const own = ids.filter((id) => this.numberOf(id) === number);
        const values = await partition.readMany(own);
        own.forEach((id, i) => found.set(id, values[i]));
      }),
    );
    return ids.map((id) => found.get(id));
  }

  /** Opens stored bytes, aligned with their ids. */
  async openAll(
    ids: readonly string[],
    stored: readonly (Buffer | undefined)[],
  ): Promise<Opened[]> {
    const items = this.#openOnce(ids, stored);
    if (!items.some((item) => item instanceof RecordUnreadableError)) return items;
    const failed = ids.filter((_, i) => items[i] instanceof RecordUnreadableError);
    await this.reload('a record is of an unknown form or key');
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
      return { id, record: this.codec.read(rules, id, bytes), revision: bytes as Revision };
    } catch (error) {
      if (error instanceof RecordUnreadableError) return error;
      throw error;
    }
  }
}
