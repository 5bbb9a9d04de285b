/**
 * Bearer tokens: 32 random bytes, base64url. The record holds only the SHA-256 of the token, and is
 * found by a blind index over it; the id of the record is a UUID that says nothing.
 *
 * A hash cannot be turned back, so "same client, same token" of Xen Orchestra becomes: same client, one
 * more token, and those that it has stay valid until they expire or are deleted.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { RecordCollection, StoredRecord } from '../rpc/database-port.js';
import { recordPages } from '../rpc/record-pages.js';
import { forbiddenOperation, noSuchObject } from '../rpc/api-error.js';
import type { Json, TokenInfo, TokenScope } from '../protocol.js';
import { scopeOf } from './token-scope.js';

const TOKEN_BYTES = 32;
const BEARER_FORM = /^[A-Za-z0-9_-]{43}$/;
/** One use a minute and address is written: more would make every call a write. */
const USE_RESOLUTION_MS = 60_000;
const USES_KEPT = 10;

export interface Token {
  readonly id: string;
  readonly userId: string;
  /** SHA-256 of the bearer, base64url. */
  readonly hash: string;
  /** It works while its user has one of these; two only while its own session changes the user's password. */
  readonly sessionGenerations: readonly string[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly description: string | undefined;
  readonly clientId: string | undefined;
  readonly scope: TokenScope | undefined;
  /** The token that created it. */
  readonly createdBy: string | undefined;
  readonly lastUses: Readonly<Record<string, { readonly timestamp: number }>>;
}

export interface NewToken {
  readonly userId: string;
  /** That of the session that creates it: what ended that session, ends the token. */
  readonly sessionGeneration: string;
  readonly validityMs: number;
  readonly description?: string | undefined;
  readonly clientId?: string | undefined;
  readonly scope?: TokenScope | undefined;
  readonly createdBy?: string | undefined;
  /** When that one ends, ms since the epoch: this one does, too. */
  readonly latestMs?: number | undefined;
  /**
   * Whether who creates it still may. Asked once the token is there, which nobody knows yet: what took
   * the right away before found no token to remove, and what does so later finds it.
   * @throws {ApiError} UNAUTHORIZED
   */
  readonly assertStill: () => Promise<void>;
}

function hashOf(bearer: string): string {
  return createHash('sha256').update(bearer).digest('base64url');
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A time that is missing or no number is long past. */
function timeOf(value: Json | undefined): number {
  return typeof value === 'number' ? value : 0;
}

function tokenOf({ id, record }: StoredRecord): Token {
  const { lastUses, sessionGenerations } = record;
  return {
    id,
    userId: textOf(record['userId']) ?? '',
    hash: textOf(record['hash']) ?? '',
    sessionGenerations: Array.isArray(sessionGenerations)
      ? sessionGenerations.filter((generation) => typeof generation === 'string')
      : [],
    createdAtMs: timeOf(record['createdAtMs']),
    expiresAtMs: timeOf(record['expiresAtMs']),
    description: textOf(record['description']),
    clientId: textOf(record['clientId']),
    scope: scopeOf(record['scope']),
    createdBy: textOf(record['createdBy']),
    lastUses: (typeof lastUses === 'object' ? (lastUses ?? {}) : {}) as Token['lastUses'],
  };
}

/** As clients see it: no hash. */
export function tokenInfo(token: Token): TokenInfo {
  const { id, userId, createdAtMs, expiresAtMs, description, clientId, lastUses } = token;
  const { scope, createdBy } = token;
  return {
    id,
    user_id: userId,
    created_at: createdAtMs,
    expiration: expiresAtMs,
    ...(description === undefined ? {} : { description }),
    ...(clientId === undefined ? {} : { client: { id: clientId } }),
    ...(scope === undefined ? {} : { scope }),
    ...(createdBy === undefined ? {} : { created_by: createdBy }),
    last_uses: lastUses,
  };
}

export class Tokens {
  readonly #collection: RecordCollection;
  readonly #perUserMax: number;
  readonly #now: () => number;
  readonly #maxValidityMs: number;

  /** @param maxValidityMs of tokens too that were created when it was longer */
  constructor(
    collection: RecordCollection,
    perUserMax: number,
    now: () => number,
    maxValidityMs = Infinity,
  ) {
    this.#collection = collection;
    this.#perUserMax = perUserMax;
    this.#now = now;
    this.#maxValidityMs = maxValidityMs;
  }

  /**
   * @returns the bearer token, which is nowhere else
   * @throws {ApiError} FORBIDDEN_OPERATION when the user has too many; what `assertStill` throws
   */
  async create({
    userId,
    sessionGeneration,
    validityMs,
    description,
    clientId,
    scope,
    createdBy,
    latestMs = Infinity,
    assertStill,
  }: NewToken): Promise<string> {
    const bearer = randomBytes(TOKEN_BYTES).toString('base64url');
    const nowMs = this.#now();
    const own = await this.ofUser(userId);
    if (own.length >= this.#perUserMax) {
      throw forbiddenOperation(
        'token.create',
        `a user has at most ${this.#perUserMax} tokens: delete some with token.deleteOwn`,
      );
    }
    const id = await this.#collection.add({
      userId,
      hash: hashOf(bearer),
      sessionGenerations: [sessionGeneration],
      createdAtMs: nowMs,
      expiresAtMs: Math.min(nowMs + validityMs, latestMs),
      ...(description === undefined ? {} : { description }),
      ...(clientId === undefined ? {} : { clientId }),
      ...(scope === undefined ? {} : { scope: { ...scope } }),
      ...(createdBy === undefined ? {} : { createdBy }),
    });
    try {
      await assertStill();
    } catch (error) {
      await this.#collection.remove(id);
      throw error;
    }
    return bearer;
  }

  /** The token, when it is known and not expired. An expired one is removed. */
  async byBearer(bearer: string): Promise<Token | undefined> {
    const token = await this.#find(bearer);
    return token === undefined || (await this.#removeIfExpired(token)) ? undefined : token;
  }

  async byId(id: string): Promise<Token | undefined> {
    const stored = await this.#collection.get(id);
    return stored === undefined ? undefined : this.#tokenOf(stored);
  }

  /** By the id of the record, or by the bearer token itself, which is Xen Orchestra's id. */
  async byIdOrBearer(id: string): Promise<Token | undefined> {
    return (await this.byId(id)) ?? (await this.#find(id));
  }

  /** Aligned with `ids`; one that is gone or cannot be read is `undefined`. */
  async byIds(ids: readonly string[]): Promise<(Token | undefined)[]> {
    const found = await this.#collection.getMany(ids);
    return found.map((stored) =>
      stored === undefined || stored instanceof Error ? undefined : this.#tokenOf(stored),
    );
  }

  /** Not expired ones, in order of id. */
  async ofUser(userId: string): Promise<Token[]> {
    const stored = await this.#collection.find({ userId });
    const tokens = stored.map((each) => this.#tokenOf(each));
    const expired = await Promise.all(tokens.map((token) => this.#removeIfExpired(token)));
    return tokens.filter((_token, at) => expired[at] === false);
  }

  /** All tokens, expired ones included, page by page. */
  async *all(): AsyncGenerator<Token> {
    for await (const page of recordPages(this.#collection, {}))
      yield* page.map((stored) => this.#tokenOf(stored));
  }

  /** @throws {ApiError} NO_SUCH_OBJECT */
  async describe(id: string, description: string | undefined): Promise<void> {
    if ((await this.byId(id)) === undefined) throw noSuchObject(id, 'token');
    await this.#collection.set(id, { description });
  }

  /** With all that it created, and what those did. */
  async remove({ id, userId }: Pick<Token, 'id' | 'userId'>): Promise<void> {
    // First of all itself: from then on it creates none.
    await this.#collection.remove(id);
    const own = await this.#collection.find({ userId });
    const created = own.map(tokenOf).filter(({ createdBy }) => createdBy === id);
    await Promise.all(created.map((token) => this.remove(token)));
  }

  /** The token goes on under these: see {@link Token.sessionGenerations}. */
  async setGenerations(id: string, sessionGenerations: readonly string[]): Promise<void> {
    await this.#collection.set(id, { sessionGenerations });
  }

  /** @returns how many were removed, expired ones included */
  async removeOfUser(userId: string, exceptId?: string): Promise<number> {
    const tokens = await this.#collection.find({ userId });
    const others = tokens.filter(({ id }) => id !== exceptId);
    await Promise.all(others.map(({ id }) => this.#collection.remove(id)));
    return others.length;
  }

  /** @returns how many were removed */
  async removeExpired(): Promise<number> {
    let removed = 0;
    for await (const token of this.all()) {
      if (await this.#removeIfExpired(token)) removed += 1;
    }
    return removed;
  }

  /** Notes that the token was used from an address: the ten latest addresses, to the minute. */
  async noteUse(token: Token, address: string): Promise<void> {
    const nowMs = this.#now();
    if (nowMs - (token.lastUses[address]?.timestamp ?? 0) < USE_RESOLUTION_MS) return;
    await this.#collection.update(token.id, (record) => {
      const { lastUses } = tokenOf({ id: token.id, record });
      const uses = Object.entries({ ...lastUses, [address]: { timestamp: nowMs } })
        .toSorted(([, a], [, b]) => b.timestamp - a.timestamp)
        .slice(0, USES_KEPT);
      return { ...record, lastUses: Object.fromEntries(uses) };
    });
  }

  async #find(bearer: string): Promise<Token | undefined> {
    if (!BEARER_FORM.test(bearer)) return undefined;
    const [stored] = await this.#collection.find({ hash: hashOf(bearer) }, { limit: 1 });
    return stored === undefined ? undefined : this.#tokenOf(stored);
  }

  #tokenOf(stored: StoredRecord): Token {
    const token = tokenOf(stored);
    const latestMs = token.createdAtMs + this.#maxValidityMs;
    return { ...token, expiresAtMs: Math.min(token.expiresAtMs, latestMs) };
  }

  async #removeIfExpired(token: Token): Promise<boolean> {
    if (token.expiresAtMs > this.#now()) return false;
    await this.#collection.remove(token.id);
    return true;
  }
}
