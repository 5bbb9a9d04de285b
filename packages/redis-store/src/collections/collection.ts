/**
 * One encrypted collection: records by id, found by their indexed fields. Every write is one fenced
 * script call; a view that turns out stale is reloaded, and the operation made anew from it.
 */
import { randomUUID } from 'node:crypto';
import { isEnvelope } from '@vault/crypto';
import { QueryPlanner } from './collection-query.js';
import type { ChosenIndex, QueryFields, RecordQuery } from './collection-query.js';
import type { CollectionDefinition } from '../records/collection-definition.js';
import { chunksOf, CollectionReader, READ_CHUNK } from './collection-reader.js';
import type { Stored } from './collection-reader.js';
import { Revision } from './revision.js';
import type { DatabaseView, ViewSource } from '../state/database-state.js';
import {
  QueryInvalidError,
  RecordExistsError,
  RecordNotFoundError,
  RecordUnreadableError,
  RevisionConflictError,
  UniqueConflictError,
} from '../errors.js';
import { entriesWithout } from '../records/filed-entry.js';
import type { FiledEntry } from '../records/filed-entry.js';
import { decodeRecord, encodeRecord } from '../records/json-record.js';
import type { CredentialRecord } from '../records/json-record.js';
import type { Found, WriteOp, WriteResult } from '../partitions/partition.js';
import type { RecordCodec } from '../records/record-codec.js';
import { checkRecordId } from '../records/record-id.js';
import { onSame, writeOne } from './write-one.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { StoreLogger } from '../store-logger.js';

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

/** Records that a find opens before it looks whether it has enough. */
const FIND_CHUNK = 256;

/** A write that meets another one reads and tries again; one that loses so often meets something that is not chance. */
const CONFLICT_ATTEMPTS = 50;

export class Collection {
  readonly name: string;
  readonly definition: CollectionDefinition;
  readonly #reader: CollectionReader;
  readonly #codec: RecordCodec;
  readonly #planner: QueryPlanner;
  readonly #logger: StoreLogger;

  constructor(
    link: RedisLink,
    name: string,
    definition: CollectionDefinition,
    views: ViewSource,
    logger: StoreLogger,
  ) {
    this.name = name;
    this.definition = definition;
    this.#reader = new CollectionReader(link, name, definition, views);
    this.#codec = this.#reader.codec;
    this.#planner = new QueryPlanner(name, definition);
    this.#logger = logger;
  }

  /**
   * Adds a record.
   * @param options.id see {@link checkRecordId}; default a random UUID (version 4)
   * @returns its id
   * @throws {RecordInvalidError} {@link RecordExistsError} {@link UniqueConflictError} {@link OutcomeUnknownError}
   */
  async add(record: CredentialRecord, options: { readonly id?: string } = {}): Promise<string> {
    const id = options.id ?? randomUUID();
    checkRecordId(this.name, id);
    const json = encodeRecord(this.name, this.definition, record);
    const result = await this.#write(id, record, (view) => {
      const entries = this.#codec.entries(record, view.written.key);
      return {
        id,
        expected: null,
        value: this.#encode(view, id, json, entries),
        add: entries,
        remove: [],
        onSame: onSame(view),
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
    const stored = await this.#reader.read(id);
    return stored === undefined ? undefined : this.#reader.open(id, stored);
  }

  /** Reads many records in few round trips. @returns aligned with `ids`; what cannot be read is an error in its place */
  async getMany(ids: readonly string[]): Promise<(Stored | undefined | RecordUnreadableError)[]> {
    const chunks = await Promise.all(
      chunksOf(ids, READ_CHUNK).map(async (chunk) =>
        this.#reader.openAll(chunk, await this.#reader.readAll(chunk)),
      ),
    );
    return chunks.flat();
  }

  /**
   * Changes the named fields; `undefined` deletes one. Without `revision` a concurrent change of
   * other fields is kept; with it, nothing is changed unless the content is as it was read then.
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
    for (let attempt = 0; attempt < CONFLICT_ATTEMPTS; attempt++) {
      // oxlint-disable-next-line no-await-in-loop -- each attempt follows the failure of the one before
      const stored = await this.#reader.read(id);
      // oxlint-disable-next-line no-await-in-loop
      await this.#checkRevision(id, stored, options.revision);
      if (stored === undefined) return false;
      const op = {
        id,
        expected: stored,
        value: null,
        add: [],
        remove: this.#reader.filedIn(stored),
        // Of two that remove one record, one did: the other finds it gone.
        onSame: 'changed' as const,
        mayRepeat: isEnvelope(stored),
      };
      // oxlint-disable-next-line no-await-in-loop
      const result = await this.#write(id, undefined, () => op);
      if (result.status === 'done') return true;
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
    const parsed = this.#planner.parse(query);
    const chosen = parsed.index;
    const found =
      chosen === undefined
        ? undefined
        : await this.#reader.withView(async ({ view, fences, reindexing }) =>
            reindexing?.isPartial(chosen.index) === true
              ? undefined
              : this.#lookUp(chosen, view, fences),
          );
    if (found === undefined) return this.#scan(parsed, after, limit);
    const ids = found.flatMap((part) => [...part.keys()]).filter((id) => id > after);
    const records: Stored[] = [];
    for (const chunk of chunksOf(ids.toSorted(), Math.min(limit, FIND_CHUNK))) {
      const stored = chunk.map((id) => found[this.#reader.numberOf(id)]?.get(id));
      // oxlint-disable-next-line no-await-in-loop -- the next chunk is opened only if this one did not suffice
      for (const item of await this.#reader.openAll(chunk, stored)) {
        if (item !== undefined && this.#isHit(item, parsed)) records.push(item);
      }
      if (records.length >= limit) break;
    }
    return records.slice(0, limit);
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
    const { ids, items } = await this.#reader.page(after, limit);
    const records: Stored[] = [];
    const unreadable: RecordUnreadableError[] = [];
    for (const item of items) {
      if (item instanceof RecordUnreadableError) unreadable.push(item);
      else if (item !== undefined) records.push(item);
    }
    return { records, unreadable, next: ids.length === limit ? ids.at(-1) : undefined };
  }

  /** How many records the collection lists. */
  async count(): Promise<number> {
    return this.#reader.count();
  }

  /** What is filed under a value, from each partition. */
  #lookUp(
    { index, kind, value }: ChosenIndex,
    { written, before }: DatabaseView,
    fences: readonly string[],
  ): Promise<Found[]> {
    // The form of before first: records only go from there to the one that is written, so that who looks at
    // one entry after the other misses none that is moved meanwhile.
    const forms = before === undefined ? [written] : [before, written];
    const tokens = new Set(forms.map(({ key }) => this.#codec.token(index, value, key)));
    const lookup = { kind, index, tokens: [...tokens] };
    return Promise.all(this.#reader.fronts.map((front, i) => front.find(fences[i] ?? '', lookup)));
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
  #isHit(item: Stored | RecordUnreadableError, query: RecordQuery): item is Stored {
    if (item instanceof RecordUnreadableError) {
      this.#report(item);
      return false;
    }
    if (query.matches(item.record)) return true;
    if (!query.matchesIndex(item.record)) {
      this.#logger.error('An index entry points at a record that has not the value', {
        collection: this.name,
        id: item.id,
        index: query.index?.index,
      });
    }
    return false;
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
      const { stored } = before.revision;
      let value = stored;
      const result = await this.#write(id, record, (view) => {
        const entries = this.#codec.entries(record, view.written.key);
        const filed = this.#reader.filedIn(stored);
        value = this.#encode(view, id, json, entries);
        return {
          id,
          expected: stored,
          value,
          add: entries,
          remove: entriesWithout(filed, entries),
          onSame: onSame(view),
          mayRepeat: isEnvelope(stored),
        };
      });
      // oxlint-enable no-await-in-loop
      this.#throwUnique(result);
      if (result.status === 'done') {
        return { id, record: decodeRecord(json) ?? record, revision: new Revision(value, json) };
      }
    }
    throw new RevisionConflictError(this.name, id);
  }

  async #readForChange(id: string, revision: Revision | undefined): Promise<Stored> {
    const stored = await this.#reader.read(id);
    await this.#checkRevision(id, stored, revision);
    const before = stored === undefined ? undefined : await this.#reader.open(id, stored);
    if (before === undefined) throw new RecordNotFoundError(this.name, id);
    return before;
  }

  /** @throws {RevisionConflictError} when what is stored has not the content of the revision that was given */
  async #checkRevision(
    id: string,
    stored: Buffer | undefined,
    revision: Revision | undefined,
  ): Promise<void> {
    if (revision === undefined || stored?.equals(revision.stored) === true) return;
    const now = stored === undefined ? undefined : await this.#reader.open(id, stored);
    if (now?.revision.isSame(revision) !== true) throw new RevisionConflictError(this.name, id);
  }

  /** Makes the operation from the current view and applies it; from a fresh one where that was stale. */
  async #write(
    id: string,
    record: CredentialRecord | undefined,
    makeOp: (view: DatabaseView) => WriteOp,
  ): Promise<WriteResult> {
    const number = this.#reader.numberOf(id);
    return this.#reader.withView(async ({ view, fences }) => {
      const op = { ...makeOp(view), claim: this.#claims(view, record) };
      return writeOne(this.#reader.frontOf(id), this.name, fences[number] ?? '', op);
    });
  }

  /** While all records are rewritten, a unique value may still be held in the form of before. */
  #claims({ written, before }: DatabaseView, record: CredentialRecord | undefined): FiledEntry[] {
    if (record === undefined || before === undefined || before.key === written.key) return [];
    return this.#codec.entries(record, before.key).filter(({ kind }) => kind === 'unique');
  }

  #encode(
    view: DatabaseView,
    id: string,
    json: Buffer,
    entries: Parameters<RecordCodec['encode']>[3],
  ): Buffer {
    return this.#codec.encode(view.written.key, id, json, entries);
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
}
