/**
 * Looks after the age of the active key while the server serves: says in the log that a rotation is
 * due, at the start and once a day, and rotates by itself where the operator wants that. An operator who
 * gives a newer secret wants it: that rotation begins by itself, and is tried again until all servers have the secret.
 */
import type { CredentialDatabase, KeyUse, StoreLogger } from '@vault/redis-store';
import { apiErrorOf } from '../rpc/error-answer.js';
import { rotationStatus } from './rotation-due.js';
import type { RotationStatus } from './rotation-due.js';

export interface KeyAgeWatchOptions {
  readonly database: Pick<CredentialDatabase, 'keyUse' | 'rotateKey'>;
  /** At least a second. */
  readonly rotateAfterMs: number;
  /** Whether it rotates a key that is due. */
  readonly isAutomatic: boolean;
  readonly logger: StoreLogger;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** A rotation that was refused, since another server was down for example, is tried again so soon. */
const CHECK_EVERY_MS = 3_600_000;
/** The other servers get a newer secret one after the other: whoever restarts them should not wait for long. */
const SUPPLIED_RETRY_MS = 60_000;
/** Who reads a log reads it once a day. */
const SAY_EVERY_MS = 86_400_000;

export class KeyAgeWatch {
  readonly #options: KeyAgeWatchOptions;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  readonly #stopping = new AbortController();
  /** Why the key of a newer secret is not in use yet. */
  waitsBecause: string | undefined;

  constructor(options: KeyAgeWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Checks at once, and every hour. */
  start(): void {
    this.#checking = this.check();
    this.#timer = setInterval(() => {
      this.#checking = this.check();
    }, CHECK_EVERY_MS).unref();
  }

  /** Lets a rotation under way end. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#stopping.abort();
    await this.#checking;
  }

  /** One look. Never rejects: what fails is logged, and tried again at the next one. */
  async check(): Promise<void> {
    const { database, rotateAfterMs, isAutomatic, logger } = this.#options;
    let use: KeyUse | undefined;
    let status: RotationStatus | undefined;
    try {
      use = await database.keyUse();
      status = use && rotationStatus(use, rotateAfterMs, this.#now());
    } catch (error) {
      logger.warn('The age of the encryption key could not be checked', { cause: error });
      return;
    }
    if (use === undefined || status === undefined) return;
    if (use.isSuperseded) {
      await this.#takeSupplied(use);
      return;
    }
    const { isDue, reason, dueAt } = status;
    if (!isDue) return;
    if (isAutomatic) await this.#rotate(use, reason);
    else this.#say(use, { reason, dueAt });
  }

  #say({ keyId }: KeyUse, data: object): void {
    const nowMs = this.#now();
    if (nowMs - this.#saidAtMs < SAY_EVERY_MS) return;
    this.#saidAtMs = nowMs;
    const advice = 'run `vault-cli encryption.rotateKeys`; nothing stops meanwhile';
    this.#options.logger.warn('A rotation of the encryption key is due', {
      keyId,
      ...data,
      advice,
    });
  }

  async #takeSupplied({ keyId }: KeyUse): Promise<void> {
    const { database, logger } = this.#options;
    const { signal } = this.#stopping;
    try {
      const { activeKeyId, records } = await database.rotateKey({ onlyIfActive: keyId, signal });
      this.waitsBecause = undefined;
      logger.info('The key of the newer secret is in use', { activeKeyId, keyId, records });
    } catch (error) {
      if (signal.aborted) return;
      const because = error instanceof Error ? error.message : String(error);
      // Said once, and again when it is another reason.
      if (because !== this.waitsBecause) {
        logger.warn(
          'The key of the newer secret is not in use yet; it is tried again every minute',
          {
            keyId,
            cause: error,
          },
        );
      }
      this.waitsBecause = because;
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => {
        this.#checking = this.check();
      }, SUPPLIED_RETRY_MS).unref();
    }
  }

  async #rotate({ keyId }: KeyUse, reason: string | null): Promise<void> {
    const { database, logger } = this.#options;
    logger.info('The encryption key is due and is rotated', { keyId, reason });
    try {
      // Of several servers that find it due at once, one rotates.
      const { activeKeyId, records } = await database.rotateKey({ onlyIfActive: keyId });
      logger.info('The encryption key was rotated', { activeKeyId, records });
    } catch (error) {
      const isRefusal = apiErrorOf(error)?.code === 'FORBIDDEN_OPERATION';
      logger[isRefusal ? 'warn' : 'error'](
        'The encryption key was not rotated; it is tried again within the hour',
        { keyId, cause: error },
      );
    }
  }
}
