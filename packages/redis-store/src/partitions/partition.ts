/** One partition of a collection: one hash tag, one slot, the unit of atomicity. It knows keys and bytes, nothing of encryption. */
import { createHash } from 'node:crypto';
import type { CollectionDefinition } from '../records/collection-definition.js';
import { RedisRefusedError, RedisUnavailableError, StateStaleError } from '../errors.js';
import type { FiledEntry } from '../records/filed-entry.js';
import { kindLetter, packOps } from './packed-ops.js';
import { KeyNames } from '../redis/key-names.js';
import type { Argument, RedisLink, Reply } from '../redis/redis-link.js';
import { makeSentMark, maybeSent } from '../redis/sent-mark.js';

/** One change of one record with its index entries. */
export interface WriteOp {
  readonly id: string;
  /** Bytes that must be stored now; `null`: no record. */
  readonly expected: Buffer | null;
  /** Bytes to store; `null`: remove the record. */
  readonly value: Buffer | null;
  /** Entries to make sure of, and to take away; no entry is in both. */
  readonly add: readonly FiledEntry[];
  readonly remove: readonly FiledEntry[];
  /** Unique entries under the key that a rekey replaces: not written, but no other record may hold them. */
  readonly claim?: readonly FiledEntry[];
  /**
   * What it means that the new bytes stand there already. `done` (default): this very command was
   * sent twice. `changed`: another writer may have made the same bytes, as plaintext ones can be.
   */
  readonly onSame?: 'done' | 'changed';
  /**
   * What it means that the expected bytes stand there when the command is sent again because its connection broke: with
   * `true`, that it was not executed, or that to execute it twice does no harm. So it is for bytes that are never stored
   * twice, as an envelope's, and where nobody else writes. Default: nobody can tell.
   */
  readonly mayRepeat?: boolean;
}

export type WriteResult =
  | { readonly status: 'done' }
  /** the stored bytes are neither the expected nor the new ones */
  | { readonly status: 'changed' }
  /** the command was sent again, and what stands there does not tell whether it was executed before; it was not executed now */
  | { readonly status: 'unknown' }
  | { readonly status: 'unique'; readonly index: string; readonly holderId: string };

/** What was read, and the fence bytes that stood in the partition then. */
export interface Fenced<T> {
  readonly fence: Buffer | undefined;
  readonly value: T;
}

/** A value looked up in one index: its token under each key in use. */
export interface Lookup {
  readonly kind: FiledEntry['kind'];
  readonly index: string;
  readonly tokens: readonly string[];
}

/** What is filed under a value: records in no order, `undefined` where an entry points at no record. */
export type Found = ReadonlyMap<string, Buffer | undefined>;

/** Bounds of one script call: Redis does nothing else meanwhile. */
export const CALL_MAX_RECORDS = 256;
export const CALL_MAX_BYTES = 1024 * 1024;
/** Ids asked for in one step where an index entry holds very many. */
const SSCAN_COUNT = 1000;
/** Entries looked up in one script call. */
const ENTRIES_PER_CALL = 1000;

const DONE: WriteResult = { status: 'done' };
const CHANGED: WriteResult = { status: 'changed' };
const UNKNOWN: WriteResult = { status: 'unknown' };

export class Partition {
  readonly collection: string;
  /** The hash tag. */
  readonly name: string;
  readonly #link: RedisLink;
  readonly #fenceKey: string;
  readonly #idsKey: string;
  readonly #noneKey: string;
  readonly #recordPrefix: string;

  constructor(link: RedisLink, collection: string, name: string) {
    this.#link = link;
    this.collection = collection;
    this.name = name;
    this.#fenceKey = link.names.fence(name);
    this.#idsKey = link.names.ids(name);
    this.#noneKey = link.names.none(name);
    this.#recordPrefix = link.names.recordPrefix(name);
  }

  /**
   * Applies changes in calls of at most {@link CALL_MAX_RECORDS} and {@link CALL_MAX_BYTES}; each
   * record with its entries changes as a whole or not at all.
   * @param fence the bytes that this process holds for this partition
   * @returns one result an operation, in order
   * @throws {StateStaleError} when another fence stands; operations of earlier calls may have been applied
   */
  async apply(fence: string, ops: readonly WriteOp[]): Promise<WriteResult[]> {
    const results = await Promise.all(chunks(ops).map((chunk) => this.#applyChunk(fence, chunk)));
    return results.flat();
  }

  async #applyChunk(fence: string, ops: readonly WriteOp[]): Promise<WriteResult[]> {
    const keys: string[] = [this.#fenceKey, this.#idsKey, this.#noneKey];
    for (const { id, add, remove, claim } of ops) {
      keys.push(this.#recordPrefix + id);
      for (const entry of add) keys.push(this.entryKey(entry));
      for (const entry of claim ?? []) keys.push(this.entryKey(entry));
      for (const entry of remove) keys.push(this.entryKey(entry));
    }
    const mark = makeSentMark();
    const args = [fence, ops.length, packOps(ops), mark];
    const reply = texts(await withOutcome(mark, this.#link.script('vaultWrite', keys, args)));
    if (reply[0] === 'ALL') return ops.map(() => DONE);
    this.#checkReply(reply[0]);
    return reply.map((text, i) => {
      if (text === 'done') return DONE;
      if (text === 'changed') return CHANGED;
      if (text === 'unknown') return UNKNOWN;
      const [, number, holderId = ''] = text.split(' ');
      return { status: 'unique', index: claimedIndex(ops[i], Number(number)), holderId };
    });
  }

  /**
   * The records filed under the tokens of each lookup: all lookups in one round trip where the
   * records are few.
   * @returns aligned with `lookups`
   * @throws {StateStaleError} when another fence stands: the tokens may be of an old key
   */
  async findAll(fence: string, lookups: readonly Lookup[]): Promise<Found[]> {
    const keys = [this.#fenceKey];
    const args: Argument[] = [fence, this.#recordPrefix, CALL_MAX_RECORDS, CALL_MAX_BYTES];
    for (const { kind, index, tokens } of lookups) {
      for (const token of tokens) keys.push(this.entryKey({ kind, index, token }));
      args.push(kind === 'unique' ? 'u' : 'i', tokens.length);
    }
    const reply = await this.#link.script('vaultFind', keys, args);
    const [head, ...found] = Array.isArray(reply) ? (reply as Reply[]) : [];
    this.#checkReply(String(head));
    return Promise.all(
      lookups.map(
        async (lookup, i) =>
          foundRecords(found[i]) ?? this.#findOne(fence, lookup, lookups.length === 1),
      ),
    );
  }

  /** A lookup that did not fit the call of many gets one of its own, then goes step by step. */
  async #findOne(fence: string, lookup: Lookup, wasAlone: boolean): Promise<Found> {
    if (wasAlone) {
      const { kind, index, tokens } = lookup;
      const keys = tokens.map((token) => this.entryKey({ kind, index, token }));
      return this.#findMany(fence, kind, keys);
    }
    const [found] = await this.findAll(fence, [lookup]);
    return found ?? new Map<string, Buffer | undefined>();
  }

  /** As {@link findAll} for one lookup, step by step; the fence must stand before and after. */
  async #findMany(
    fence: string,
    kind: FiledEntry['kind'],
    entryKeys: readonly string[],
  ): Promise<Found> {
    const found = new Map<string, Buffer | undefined>();
    for (const key of entryKeys) {
      // oxlint-disable no-await-in-loop -- a cursor is followed step by step
      for await (const members of this.#membersOf(kind, key)) {
        const ids = members.filter((id) => !found.has(id));
        const values = await this.readMany(ids);
        ids.forEach((id, i) => found.set(id, values[i]));
      }
      // oxlint-enable no-await-in-loop
    }
    if ((await this.readFence()) !== fence) throw new StateStaleError();
    return found;
  }

  /** Ids in an entry, page by page. */
  async *#membersOf(kind: FiledEntry['kind'], key: string): AsyncGenerator<string[]> {
    if (kind === 'unique') {
      const id = await this.#link.get(key);
      if (id !== undefined) yield [id.toString()];
      return;
    }
    let cursor = '0';
    do {
      // oxlint-disable-next-line no-await-in-loop -- a cursor is followed step by step
      const reply = await this.#link.command('SSCAN', key, cursor, 'COUNT', SSCAN_COUNT);
      const [next, members] = Array.isArray(reply) ? (reply as [Reply, Reply]) : ['0', []];
      cursor = String(next);
      yield texts(members);
    } while (cursor !== '0');
  }

  /** The fence bytes that stand in Redis. */
  async readFence(): Promise<string | undefined> {
    return (await this.#link.get(this.#fenceKey))?.toString();
  }

  /** Puts `next` where `expected` stands (`undefined`: nothing). @returns whether `next` stands there now */
  async swapFence(expected: string | undefined, next: string): Promise<boolean> {
    const args = [expected === undefined ? 0 : 1, expected ?? '', next];
    const reply = await this.#link.script('vaultSwapFence', [this.#fenceKey], args);
    if (reply === -1) this.#checkReply(`TYPE ${this.#fenceKey}`);
    return reply === 1;
  }

  /** Up to `limit` ids that come after `after` (empty: from the first), in the order of their bytes. */
  pageIds(after: string, limit: number): Promise<string[]> {
    return this.#link.pageMembers(this.#idsKey, after, limit);
  }

  /** Whether each id stands in the id list. */
  async areListed(ids: readonly string[]): Promise<boolean[]> {
    if (ids.length === 0) return [];
    const reply = await this.#link.command('ZMSCORE', this.#idsKey, ...ids);
    return (Array.isArray(reply) ? (reply as Reply[]) : []).map((score) => score !== null);
  }

  read(id: string): Promise<Buffer | undefined> {
    return this.#link.get(this.#recordPrefix + id);
  }

  /** The stored bytes, aligned with `ids`. */
  readMany(ids: readonly string[]): Promise<(Buffer | undefined)[]> {
    return this.#link.getMany(ids.map((id) => this.#recordPrefix + id));
  }

  /** As {@link readMany}, with the fence of the same instant: one command of one slot. */
  async readManyFenced(ids: readonly string[]): Promise<Fenced<(Buffer | undefined)[]>> {
    const keys = [this.#fenceKey];
    for (const id of ids) keys.push(this.#recordPrefix + id);
    const value = await this.#link.getMany(keys);
    return { fence: value.shift(), value };
  }

  /** Whether each record is filed under its entry, aligned with `filed`. */
  async hasEntries(
    filed: readonly { readonly id: string; readonly entry: FiledEntry }[],
  ): Promise<boolean[]> {
    const parts = await Promise.all(
      Array.from({ length: Math.ceil(filed.length / ENTRIES_PER_CALL) }, (_, i) =>
        this.#hasEntries(filed.slice(i * ENTRIES_PER_CALL, (i + 1) * ENTRIES_PER_CALL)),
      ),
    );
    return parts.flat();
  }

  async #hasEntries(
    filed: readonly { readonly id: string; readonly entry: FiledEntry }[],
  ): Promise<boolean[]> {
    const keys = filed.map(({ entry }) => this.entryKey(entry));
    const args = filed.flatMap(({ id, entry }) => [kindLetter(entry), id]);
    const reply = await this.#link.script('vaultHasEntries', keys, args);
    return Array.from(String(reply), (digit) => digit === '1');
  }

  /** How many ids the partition lists. */
  async count(): Promise<number> {
    return Number(await this.#link.command('ZCARD', this.#idsKey));
  }

  entryKey({ kind, index, token }: FiledEntry): string {
    const { names } = this.#link;
    return kind === 'unique'
      ? names.unique(this.name, index, token)
      : names.exact(this.name, index, token);
  }

  #checkReply(status: string | undefined): void {
    if (status === 'STALE') throw new StateStaleError();
    if (status?.startsWith('TYPE ') === true) {
      throw new RedisRefusedError(
        'WRONGTYPE',
        `the key ${status.slice(5)} holds another type; run vault-server verify`,
      );
    }
  }
}

/** Where Redis went after the command was sent, its error says so. */
async function withOutcome(mark: Buffer, reply: Promise<Reply>): Promise<Reply> {
  try {
    return await reply;
  } catch (error) {
    if (!(error instanceof RedisUnavailableError) || !maybeSent(mark)) throw error;
    throw new RedisUnavailableError(error.message, { mayBeDone: true, cause: error });
  }
}

/** All partitions of a collection, in order. */
export function partitionsOf(
  link: RedisLink,
  collection: string,
  definition: CollectionDefinition,
): Partition[] {
  const count = definition.partitions ?? 1;
  return Array.from(
    { length: count },
    (_, i) => new Partition(link, collection, KeyNames.partition(collection, i, count)),
  );
}

/** Number of the partition that a record lives in: the first 4 bytes of SHA-256(id), modulo `count`. */
export function partitionNumber(id: string, count: number): number {
  if (count === 1) return 0;
  return createHash('sha256').update(id).digest().readUInt32BE(0) % count;
}

/** @returns `undefined` where a bound was met */
function foundRecords(reply: Reply): Found | undefined {
  const parts = Array.isArray(reply) ? (reply as Reply[]) : [];
  if (parts.length === 1) return undefined;
  const found = new Map<string, Buffer | undefined>();
  for (let i = 0; i < parts.length; i += 2) {
    const bytes = parts[i + 1];
    found.set(String(parts[i]), Buffer.isBuffer(bytes) ? bytes : undefined);
  }
  return found;
}

function claimedIndex(op: WriteOp | undefined, number: number): string {
  return [...(op?.add ?? []), ...(op?.claim ?? [])][number - 1]?.index ?? '';
}

function texts(reply: Reply): string[] {
  return Array.isArray(reply) ? (reply as Reply[]).map(String) : [];
}

function chunks(ops: readonly WriteOp[]): WriteOp[][] {
  const all: WriteOp[][] = [];
  let bytes = 0;
  for (const op of ops) {
    const size = (op.value?.length ?? 0) + (op.expected?.length ?? 0);
    const last = all.at(-1);
    if (last === undefined || last.length === CALL_MAX_RECORDS || bytes + size > CALL_MAX_BYTES) {
      all.push([op]);
      bytes = size;
    } else {
      last.push(op);
      bytes += size;
    }
  }
  return all;
}
