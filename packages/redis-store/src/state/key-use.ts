/** How old the active key is and how often it encrypted, by all processes together. */
import type { CustodyReport, KeyId } from '@vault/crypto';
import type { RedisLink } from '../redis/redis-link.js';
import { RedisRefusedError } from '../errors.js';
import type { SealContent } from './seal.js';
import type { SealKeeper } from './seal-keeper.js';

/** How Redis refuses to add to what is no number. */
const NO_COUNT: ReadonlySet<string> = new Set(['WRONGTYPE', 'ERR']);

/** Encryptions are added up in Redis so often: a crash forgets at most those of this time. */
const ADD_EVERY_MS = 30_000;

/** What says whether a key should be replaced. */
export interface KeyUse {
  readonly keyId: KeyId;
  /** ms since the epoch; `null` for a key whose beginning nobody wrote down. */
  readonly activeSinceMs: number | null;
  /** Encryptions under it, as far as the processes have added them up. */
  readonly encryptions: number;
  /** Whether a half of it is of a secret in whose place an operator gave a newer one: it is to be replaced. */
  readonly isSuperseded: boolean;
}

/** @returns `undefined` where no key is active, the database is plaintext */
export async function keyUseOf(
  link: RedisLink,
  { keyId, activeSinceMs }: SealContent,
  { supersededIds }: Pick<CustodyReport, 'supersededIds'>,
): Promise<KeyUse | undefined> {
  if (keyId === null) return undefined;
  const encryptions = (await countOf(link, keyId)) ?? 0;
  return { keyId, activeSinceMs, encryptions, isSuperseded: supersededIds.includes(keyId) };
}

/** A count of ours; nobody signs it, and anybody who can write to Redis may have put something else there. */
const COUNT = /^\d{1,15}$/;

/** @returns `undefined` where no count stands */
async function countOf(link: RedisLink, keyId: KeyId): Promise<number | undefined> {
  try {
    const stored = (await link.get(link.names.encryptions(keyId)))?.toString() ?? '';
    return COUNT.test(stored) ? Number(stored) : undefined;
  } catch (error) {
    if (isWrongType(error)) return undefined;
    throw error;
  }
}

function isWrongType(error: unknown): boolean {
  return error instanceof RedisRefusedError && error.reply === 'WRONGTYPE';
}

/** Adds up in Redis what this process encrypts. */
export class EncryptionCount {
  readonly #link: RedisLink;
  readonly #keeper: SealKeeper;
  readonly #added = new Map<KeyId, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(link: RedisLink, keeper: SealKeeper) {
    this.#link = link;
    this.#keeper = keeper;
    this.#timer = setInterval(() => {
      this.add().catch(() => undefined);
    }, ADD_EVERY_MS).unref();
  }

  /** Adds what was not added yet. */
  async add(): Promise<void> {
    const { content, ring } = this.#keeper;
    const inUse = [content.keyId, content.previousKeyId].filter((id) => id !== null);
    await Promise.all(
      inUse.map(async (id) => {
        const now = ring.byId(id)?.encryptions ?? 0;
        const before = this.#added.get(id) ?? 0;
        if (now <= before) return;
        // Said first: who asks for the status meanwhile does not add it again.
        this.#added.set(id, now);
        try {
          await this.#addTo(id, now - before, now);
        } catch (error) {
          this.#added.set(id, before);
          throw error;
        }
      }),
    );
  }

  /** @param all what this process encrypted: the count is this at least, whatever stands there */
  async #addTo(id: KeyId, fresh: number, all: number): Promise<void> {
    const name = this.#link.names.encryptions(id);
    try {
      // Sent again when the connection breaks, it may count twice: a key is then rotated sooner, which is the safe side.
      if (Number(await this.#link.command('INCRBY', name, fresh)) >= all) return;
    } catch (error) {
      const isNoCount = error instanceof RedisRefusedError && NO_COUNT.has(error.reply);
      if (!isNoCount || (await countOf(this.#link, id)) !== undefined) throw error;
    }
    await this.#link.command('SET', name, all);
  }

  /** Adds the last ones. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.add().catch(() => undefined);
  }
}
