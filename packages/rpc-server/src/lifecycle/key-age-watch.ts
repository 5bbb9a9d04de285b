/**
 * Looks after the age of the active key while the server serves: says in the log that a rotation is
 * due, at the start and once a day, and rotates by itself where the operator wants that.
 */
import type { CredentialDatabase, KeyUse, StoreLogger } from '@vault/redis-store';
import { apiErrorOf } from '../rpc/error-answer.js';
import { rotationStatus } from './rotation-due.js';

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
/** Who reads a log reads it once a day. */
const SAY_EVERY_MS = 86_400_000;

export class KeyAgeWatch {
  readonly #options: KeyAgeWatchOptions;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> = Promise.resolve();
  #saidAtMs = Number.NEGATIVE_INFINITY;

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
    await this.#checking;
  }

  /** One look. Never rejects: what fails is logged, and tried again at the next one. */
  async check(): Promise<void> {
    const { database, rotateAfterMs, isAutomatic, logger } = this.#options;
    let use: KeyUse | undefined;
    try {
      use = await database.keyUse();
    } catch (error) {
      logger.warn('The age of the encryption key could not be checked', { cause: error });
      return;
    }
    if (use === undefined) return;
    const { isDue, reason, dueAt } = rotationStatus(use, rotateAfterMs, this.#now());
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
