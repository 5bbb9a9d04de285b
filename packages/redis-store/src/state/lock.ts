/**
 * The migration lock: at most one process changes state, keys or definitions. It only keeps
 * processes from working in vain; what makes a stalled owner harmless is the fence, and that the
 * seal changes only together with a look at the lock.
 */
import { randomUUID } from 'node:crypto';
import { StoreError } from '../errors.js';
import { isProvablyDead, parseIdentity } from './process-identity.js';
import type { ProcessIdentity } from './process-identity.js';
import { otherType } from '../redis/other-type.js';
import type { RedisLink, Reply } from '../redis/redis-link.js';

/** A lock that is not renewed for so long is free. */
export const LOCK_MS = 15_000;
/** Three renewals may fail before the lock is gone. */
const RENEW_MS = LOCK_MS / 4;
/** How often a waiting process looks again: short, since a start waits for it. */
const POLL_MS = 200;
/** A lock that stays for longer than its life and is not renewed was not set by one of us: it is taken over. */
const PATIENCE_MS = 2 * LOCK_MS;

export interface LockOptions {
  /** Called once, when another process holds the lock and is waited for. */
  readonly onWait?: (holder: ProcessIdentity | undefined) => void;
  /** Wait for a living holder at most so long, in ms. Default: as long as it lives. */
  readonly waitMs?: number;
}

export class MigrationLock {
  /** What the lock in Redis begins with: nobody else's does. */
  readonly token: string;
  readonly #link: RedisLink;
  readonly #identity: ProcessIdentity;
  #renewals = 0;
  #timer: NodeJS.Timeout | undefined;
  #lostBecause: string | undefined;

  private constructor(link: RedisLink, identity: ProcessIdentity) {
    this.#link = link;
    this.#identity = identity;
    // Not the id of the process: two operations of one process exclude each other too.
    this.token = `${randomUUID()} `;
  }

  /**
   * Waits for the lock and takes it. A holder that is provably dead is not waited for, and one that does
   * not renew its lock for no longer than {@link PATIENCE_MS}.
   * @throws {StoreError} `DATABASE_LOCKED` when the wait is over
   */
  static async acquire(
    link: RedisLink,
    identity: ProcessIdentity,
    options: LockOptions = {},
  ): Promise<MigrationLock> {
    const lock = new MigrationLock(link, identity);
    const startedMs = Date.now();
    let seen = '';
    let seenSinceMs = startedMs;
    for (;;) {
      // oxlint-disable no-await-in-loop -- the lock is polled
      // When it was asked, not answered: this process may sleep in between, and longer than a lock lives.
      const askedMs = Date.now();
      const held = await lock.#take('take');
      if (held === undefined) break;
      if (held.value !== seen) {
        if (seen === '') options.onWait?.(held.holder);
        seen = held.value;
        seenSinceMs = askedMs;
      }
      const isDead = held.holder !== undefined && isProvablyDead(held.holder);
      if (isDead || askedMs - seenSinceMs > PATIENCE_MS) {
        if ((await lock.#take('over', held.value)) === undefined) break;
      }
      if (askedMs - startedMs >= (options.waitMs ?? Infinity)) throw lockedError(held.holder);
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS);
      });
      // oxlint-enable no-await-in-loop
    }
    lock.#timer = setInterval(() => void lock.#renew(), RENEW_MS).unref();
    return lock;
  }

  /** @throws {StoreError} `DATABASE_LOCKED` when the lock is known to be lost */
  check(): void {
    if (this.#lostBecause !== undefined) {
      throw new StoreError('DATABASE_LOCKED', `the migration lock was lost: ${this.#lostBecause}`);
    }
  }

  /**
   * As {@link check}, and asks Redis: before something that no fence keeps a process from that slept
   * past its lock.
   * @throws {StoreError} `DATABASE_LOCKED`
   */
  async assertHeld(): Promise<void> {
    if (!(await this.isHeld())) this.#lostBecause ??= 'it ended, or another process has it';
    this.check();
  }

  /** Asks Redis; where that does not answer, nothing is known to be lost. */
  async isHeld(): Promise<boolean> {
    try {
      const stored = await this.#link.get(this.#link.names.lock);
      return stored?.toString().startsWith(this.token) ?? false;
    } catch {
      return true;
    }
  }

  /** Gives the lock back. Redis drops it by itself when this fails. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    this.#lostBecause ??= 'it was given back';
    try {
      await this.#link.script('vaultDropLock', [this.#link.names.lock], [this.token]);
    } catch {
      // It ends by itself after LOCK_MS.
    }
  }

  async #renew(): Promise<void> {
    try {
      const held = await this.#take('renew');
      if (held !== undefined) this.#lostBecause ??= 'another process has it';
    } catch {
      // Redis is away: the next renewal tells, and until then nothing can be written anyway.
    }
  }

  /** @returns `undefined` when we hold it now, else what stands there */
  async #take(
    mode: 'take' | 'renew' | 'over',
    seen = '',
  ): Promise<{ value: string; holder: ProcessIdentity | undefined } | undefined> {
    const value = this.token + JSON.stringify({ ...this.#identity, renewals: this.#renewals++ });
    const args = [this.token, value, LOCK_MS, mode, seen];
    const reply = await this.#link.script('vaultTakeLock', [this.#link.names.lock], args);
    if (!Array.isArray(reply)) {
      throw new StoreError('DATABASE_LOCKED', otherType(this.#link.names.lock));
    }
    const [isHeld, stored] = reply as readonly Reply[];
    if (isHeld === 1) return undefined;
    const text = String(stored ?? '');
    return { value: text, holder: holderOf(text) };
  }
}

function holderOf(value: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(JSON.parse(value.slice(value.indexOf(' ') + 1)));
  } catch {
    return undefined;
  }
}

function lockedError(holder: ProcessIdentity | undefined): StoreError {
  const who =
    holder === undefined ? 'an unknown holder' : `process ${holder.pid} on ${holder.host}`;
  return new StoreError('DATABASE_LOCKED', `the migration lock is held by ${who}`);
}
