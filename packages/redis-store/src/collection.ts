/**
 * One encrypted collection: records by id, found by their indexed fields. Every write is one fenced
 * script call; a view that turns out stale is reloaded, and the operation made anew from it.
 */
import { randomUUID } from 'node:crypto';
import { RecordQuery } from './collection-query.js';
import type { QueryFields } from './collection-query.js';
import type { CollectionDefinition } from './collection-definition.js';
import type { DatabaseView, ViewSource } from './database-state.js';
import {
  QueryInvalidError,
  RecordExistsError,
  RecordInvalidError,
  RecordNotFoundError,
  RecordUnreadableError,
  RevisionConflictError,
  StateStaleError,
  UniqueConflictError,
} from './errors.js';
import { fenceBytes } from './fence.js';
import { entriesWithout } from './filed-entry.js';
import type { FiledEntry } from './filed-entry.js';
import { PartitionFront } from './internal/partition-front.js';
import { decodeRecord, encodeRecord } from './json-record.js';
import type { CredentialRecord } from './json-record.js';
import { partitionNumber, partitionsOf } from './partition.js';
import type { Partition, WriteOp, WriteResult } from './partition.js';
import { RecordCodec } from './record-codec.js';
import type { OpeningRules } from './record-codec.js';
import type { RedisLink } from './redis-link.js';
import type { StoreLogger } from './store-logger.js';

declare const revisionBrand: unique symbol;
/** What was stored when a record was read; handed back, it makes a write conditional. Opaque. */
export type Revision = Buffer & { readonly [revisionBrand]: true };

/** A record as read. */
export interface Stored {
  readonly id: string;
  readonly record: CredentialRecord;
  readonly revision: Revision;
}

/** A page of a listing. */
export interface Page {
  readonly records: readonly Stored[];
  /** Records that are there and cannot be read; the rest of the page is not kept back. */
  readonly unreadable: readonly RecordUnreadableError[];
  /** Pass as `after` for the next page; `undefined` after the last. */
  readonly next: string | undefined;
}

export const LIST_LIMIT_DEFAULT = 100;
export const LIST_LIMIT_MAX = 1000;
const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** A write that meets another one reads and tries again; one that loses so often meets something that is not chance. */
const CONFLICT_ATTEMPTS = 50;
/** A state that changes oftener than this during one operation is not waited for. */
const STALE_ATTEMPTS = 5;

export class Collection {
  readonly name: string;
  readonly definition: CollectionDefinition;
  readonly #views: ViewSource;
  readonly #codec: RecordCodec;
  readonly #partitions: readonly Partition[];
  readonly #fronts: readonly PartitionFront[];
  readonly #prefix: string;
  readonly #logger: StoreLogger;
  #rules:
    | { readonly view: DatabaseView; readonly rules: OpeningRules; readonly fences: string[] }
    | undefined;

  constructor(
    link: RedisLink,
    name: string,
    definition: CollectionDefinition,
    views: ViewSource,
    logger: StoreLogger,
  ) {
    this.name = name;
    this.definition = definition;
    this.#views = views;
    this.#codec = new RecordCodec(name, definition);
    this.#partitions = partitionsOf(link, name, definition);
    this.#fronts = this.#partitions.map((partition) => new PartitionFront(partition));
    this.#prefix = link.names.prefix;
    this.#logger = logger;
  }

  /**
   * Adds a record.
   * @param options.id 1 to 128 characters of `A-Za-z0-9_-`; default a random UUID (version 4)
   * @returns its id
   * @throws {RecordInvalidError} {@link RecordExistsError} {@link UniqueConflictError}
   */
  async add(record: CredentialRecord, options: { readonly id?: string } = {}): Promise<string> {
    const id = options.id ?? randomUUID();
    this.#checkId(id);
    const json = encodeRecord(this.name, this.definition, record);
    const result = await this.#write(id, record, (view) => {
      const entries = this.#codec.entries(record, view.activeKey);
      return {
        id,
        expected: null,
        value: this.#encode(view, id, json, entries),
        add: entries,
        remove: [],
      };
    });
    if (result.status === 'changed') throw new RecordExistsError(this.name, id);
    this.#throwUnique(result);
    return id;
  }

  /**
   * @returns `undefined` when there is no such record
   * @throws {RecordUnreadableError} when what is stored cannot be read
   */
  async get(id: string): Promise<Stored | undefined> {
    const stored = await this.#front(id).read(id);
    return stored === undefined ? undefined : this.#openFresh(id, stored);
  }

  /** Reads many records in few round trips. @returns aligned with `ids`; what cannot be read is an error in its place */
  async getMany(ids: readonly string[]): Promise<(Stored | undefined | RecordUnreadableError)[]> {
    const found = new Map<string, Buffer | undefined>();
    await Promise.all(
      this.#partitions.map(async (partition, number) => {
        const own =
          this.#partitions.length === 1 ? ids : ids.filter((id) => this.#number(id) === number);
        const values = await partition.readMany(own);
        own.forEach((id, i) => found.set(id, values[i]));
      }),
    );
    return Promise.all(ids.map((id) => this.#openOrError(id, found.get(id))));
  }

  /**
   * Changes the named fields; `undefined` deletes one. Without `revision` a concurrent change of
   * other fields is kept.
   * @throws {RecordNotFoundError} {@link RecordInvalidError} {@link UniqueConflictError} {@link RevisionConflictError}
   */
  async set(
    id: string,
    changes: CredentialRecord,
    options: { readonly revision?: Revision } = {},
  ): Promise<Stored> {
    return this.#change(id, (record) => ({ ...record, ...changes }), options.revision);
  }

  /**
   * Reads, changes and writes a record; where somebody else wrote meanwhile, `change` is called
   * again with what they wrote, so no update is lost.
   * @param change gives the new record, or `undefined` to leave it as it is; has no other effect
   */
  async update(
    id: string,
    change: (record: CredentialRecord) => CredentialRecord | undefined,
  ): Promise<Stored> {
    return this.#change(id, change, undefined);
  }

  /**
   * Removes a record and its index entries; needs no decryption.
   * @returns whether it was there
   * @throws {RevisionConflictError} when `revision` is given and the record was changed since
   */
  async remove(id: string, options: { readonly revision?: Revision } = {}): Promise<boolean> {
    const front = this.#front(id);
    for (let attempt = 0; attempt < CONFLICT_ATTEMPTS; attempt++) {
      // oxlint-disable-next-line no-await-in-loop -- each attempt follows the failure of the one before
      const stored = options.revision ?? (await front.read(id));
      if (stored === undefined) return false;
      const op = {
        id,
        expected: stored,
        value: null,
        add: [],
        remove: this.#codec.filedIn(stored),
      };
      // oxlint-disable-next-line no-await-in-loop
      const result = await this.#write(id, undefined, () => op);
      if (result.status === 'done') return true;
      if (options.revision !== undefined) throw new RevisionConflictError(this.name, id);
    }
    throw new RevisionConflictError(this.name, id);
  }

  /**
   * The records that have all these values, in order of id. One index that fits is asked, the rest
   * is compared after decryption; with no index that fits, the whole collection is read.
   *
   * Text compares as the index does (without regard to case and Unicode compatibility forms). The
   * name of an index with a transform may stand for a field: `{ emailDomain: 'example.org' }`.
   * @throws {QueryInvalidError} for an unknown field, or a secret one
   */
  async find(
    query: QueryFields,
    options: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<Stored[]> {
    const { limit = Infinity, after = '' } = options;
    const parsed = new RecordQuery(this.name, this.definition, query);
    if (parsed.index === undefined) return this.#scan(parsed, after, limit);
    const { index, kind, value } = parsed.index;
    const found = await this.#withView(async (view, fences) => {
      const tokens = new Set([this.#codec.token(index, value, view.activeKey)]);
      if (view.previousKey !== undefined)
        tokens.add(this.#codec.token(index, value, view.previousKey));
      return Promise.all(
        this.#fronts.map((front, i) =>
          front.find(fences[i] ?? '', { kind, index, tokens: [...tokens] }),
        ),
      );
    });
    const ids = found.flatMap((part) => [...part.keys()]).filter((id) => id > after);
    const records: Stored[] = [];
    for (const id of ids.toSorted()) {
      // oxlint-disable-next-line no-await-in-loop -- decryption is synchronous; only a reload waits
      const stored = await this.#believe(id, found, parsed);
      if (stored !== undefined) records.push(stored);
      if (records.length >= limit) break;
    }
    return records;
  }

  /**
   * A page of the collection in the order of ids.
   * @param options.after the last id seen; @param options.limit 1 to 1000, default 100
   */
  async list(options: { readonly after?: string; readonly limit?: number } = {}): Promise<Page> {
    const { after = '', limit = LIST_LIMIT_DEFAULT } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > LIST_LIMIT_MAX) {
      throw new QueryInvalidError(this.name, `limit is an integer from 1 to ${LIST_LIMIT_MAX}`);
    }
    const pages = await Promise.all(
      this.#partitions.map((partition) => partition.pageIds(after, limit)),
    );
    const merged = pages.length === 1 ? (pages[0] ?? []) : pages.flat().toSorted();
    const ids = merged.slice(0, limit);
    const records: Stored[] = [];
    const unreadable: RecordUnreadableError[] = [];
    for (const item of await this.getMany(ids)) {
      if (item instanceof RecordUnreadableError) unreadable.push(item);
      else if (item !== undefined) records.push(item);
    }
    return { records, unreadable, next: ids.length === limit ? ids.at(-1) : undefined };
  }

  /** How many records the collection lists. */
  async count(): Promise<number> {
    const counts = await Promise.all(this.#partitions.map((partition) => partition.count()));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #scan(query: RecordQuery, after: string, limit: number): Promise<Stored[]> {
    const records: Stored[] = [];
    let next: string | undefined = after;
    while (next !== undefined && records.length < limit) {
      // oxlint-disable-next-line no-await-in-loop -- pages follow each other
      const page: Page = await this.list({ after: next, limit: LIST_LIMIT_MAX });
      for (const error of page.unreadable) this.#report(error);
      records.push(...page.records.filter(({ record }) => query.matches(record)));
      next = page.next;
    }
    return records.slice(0, limit);
  }

  /** A hit is believed only after the decrypted record gives the value that was asked for. */
  async #believe(
    id: string,
    found: readonly ReadonlyMap<string, Buffer | undefined>[],
    query: RecordQuery,
  ): Promise<Stored | undefined> {
    const stored = found[this.#number(id)]?.get(id);
    const item = await this.#openOrError(id, stored);
    if (item === undefined || item instanceof RecordUnreadableError) {
      if (item !== undefined) this.#report(item);
      return undefined;
    }
    if (query.matches(item.record)) return item;
    if (!query.matchesIndex(item.record)) {
      this.#logger.error('An index entry points at a record that has not the value', {
        collection: this.name,
        id,
        index: query.index?.index,
      });
    }
    return undefined;
  }

  async #change(
    id: string,
    change: (record: CredentialRecord) => CredentialRecord | undefined,
    revision: Revision | undefined,
  ): Promise<Stored> {
    for (let attempt = 0; attempt < CONFLICT_ATTEMPTS; attempt++) {
      // oxlint-disable no-await-in-loop -- each attempt follows the failure of the one before
      const before = await this.#readForChange(id, revision);
      const record = change(before.record);
      if (record === undefined) return before;
      const json = encodeRecord(this.name, this.definition, record);
      let value: Buffer = before.revision;
      const result = await this.#write(id, record, (view) => {
        const entries = this.#codec.entries(record, view.activeKey);
        const filed = this.#codec.filedIn(before.revision);
        value = this.#encode(view, id, json, entries);
        return {
          id,
          expected: before.revision,
          value,
          add: entries,
          remove: entriesWithout(filed, entries),
          // Two writers can make the same plaintext; an envelope has its own nonce.
          onSame: view.activeKey === undefined ? 'changed' : 'done',
        };
      });
      // oxlint-enable no-await-in-loop
      this.#throwUnique(result);
      if (result.status === 'done')
        return { id, record: decodeRecord(json) ?? record, revision: value as Revision };
      if (revision !== undefined) throw new RevisionConflictError(this.name, id);
    }
    throw new RevisionConflictError(this.name, id);
  }

  async #readForChange(id: string, revision: Revision | undefined): Promise<Stored> {
    const stored = revision ?? (await this.#front(id).read(id));
    if (stored === undefined) throw new RecordNotFoundError(this.name, id);
    return this.#openFresh(id, stored);
  }

  /** Makes the operation from the current view and applies it; from a fresh one where that was stale. */
  async #write(
    id: string,
    record: CredentialRecord | undefined,
    makeOp: (view: DatabaseView) => WriteOp,
  ): Promise<WriteResult> {
    const number = this.#number(id);
    return this.#withView(async (view, fences) => {
      const op = { ...makeOp(view), claim: this.#claims(view, record) };
      return this.#front(id).write(fences[number] ?? '', op);
    });
  }

  /** While a rekey runs, a unique value may still be held under the old key. */
  #claims(
    { activeKey, previousKey }: DatabaseView,
    record: CredentialRecord | undefined,
  ): FiledEntry[] {
    if (record === undefined || previousKey === undefined || previousKey === activeKey) return [];
    return this.#codec.entries(record, previousKey).filter(({ kind }) => kind === 'unique');
  }

  async #withView<T>(
    use: (view: DatabaseView, fences: readonly string[]) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        const { view, fences } = this.#current();
        // oxlint-disable-next-line no-await-in-loop -- each attempt follows a reload
        return await use(view, fences);
      } catch (error) {
        if (!(error instanceof StateStaleError) || attempt >= STALE_ATTEMPTS) throw error;
        // oxlint-disable-next-line no-await-in-loop
        await this.#views.reload('a partition stands under another fence');
      }
    }
  }

  /** Opens stored bytes; what the view does not explain makes it reload once. */
  async #openFresh(id: string, stored: Buffer): Promise<Stored> {
    try {
      return this.#open(id, stored);
    } catch (error) {
      if (!(error instanceof RecordUnreadableError)) throw error;
      await this.#views.reload('a record is of an unknown form or key');
      const again = (await this.#front(id).read(id)) ?? stored;
      return this.#open(id, again);
    }
  }

  async #openOrError(
    id: string,
    stored: Buffer | undefined,
  ): Promise<Stored | undefined | RecordUnreadableError> {
    if (stored === undefined) return undefined;
    try {
      return this.#open(id, stored);
    } catch {
      try {
        return await this.#openFresh(id, stored);
      } catch (error) {
        if (error instanceof RecordUnreadableError) return error;
        throw error;
      }
    }
  }

  #open(id: string, stored: Buffer): Stored {
    return {
      id,
      record: this.#codec.read(this.#current().rules, id, stored),
      revision: stored as Revision,
    };
  }

  #encode(
    view: DatabaseView,
    id: string,
    json: Buffer,
    entries: Parameters<RecordCodec['encode']>[3],
  ): Buffer {
    return this.#codec.encode(view.activeKey, id, json, entries);
  }

  /** View, opening rules and fences belong together, and are made once a view. */
  #current(): {
    readonly view: DatabaseView;
    readonly rules: OpeningRules;
    readonly fences: readonly string[];
  } {
    const view = this.#views.current();
    if (this.#rules?.view !== view) {
      this.#rules = {
        view,
        rules: openingRules(view),
        fences: this.#partitions.map(({ name }) => fenceBytes(view, this.#prefix, name)),
      };
    }
    return this.#rules;
  }

  #report(error: RecordUnreadableError): void {
    this.#logger.error(error.message, {
      collection: error.collection,
      id: error.id,
      reason: error.reason,
    });
  }

  #throwUnique(result: WriteResult): void {
    if (result.status === 'unique')
      throw new UniqueConflictError(this.name, result.index, result.holderId);
  }

  #checkId(id: string): void {
    if (!ID.test(id)) throw new RecordInvalidError(this.name, 'id', `expected ${ID.source}`);
  }

  #number(id: string): number {
    return partitionNumber(id, this.#partitions.length);
  }
  #front(id: string): PartitionFront {
    const number = this.#number(id);
    const front = this.#fronts[number];
    if (front === undefined) throw new RangeError(`no partition ${number}`);
    return front;
  }
}

/** What may be read under a view: an inactive key opens only while a rekey runs. */
export function openingRules(view: DatabaseView): OpeningRules {
  const isMixed = view.state === 'encrypting' || view.state === 'decrypting';
  return {
    mayBePlaintext: isMixed || view.state === 'plaintext',
    mayBeEnvelope: view.state !== 'plaintext',
    byId: (id) => {
      if (view.activeKey?.id === id) return view.activeKey;
      return view.previousKey?.id === id ? view.previousKey : undefined;
    },
  };
}
