/**
 * Argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane. A few checks run at
 * once and a few wait, in fair turns, so that sign-ins cannot take the machine's memory.
 */
import type * as Argon2 from '@node-rs/argon2';
import { randomBytes } from 'node:crypto';
import { ApiError, invalidParameter } from '../rpc/api-error.js';
import { FairQueue } from './fair-queue.js';
import type { FairQueueOptions, Share } from './fair-queue.js';

/** Loaded at the first password, not at the start. */
const loadArgon2 = (): Promise<typeof Argon2> => import('@node-rs/argon2');

const PASSES = 2;
const LANES = 1;
const HASH_FORM = /^\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,3}),p=(\d{1,3})\$/;
/** What a stored hash may ask for at most, relative to ours: an imported one must not exhaust memory. */
const MEMORY_FACTOR_MAX = 4;
const PASSES_MAX = 16;
const LANES_MAX = 8;

export interface PasswordOptions extends FairQueueOptions {
  readonly memoryKiB: number;
  /** Longest password, in bytes of UTF-8. */
  readonly maxBytes: number;
}

export class Passwords {
  readonly #options: PasswordOptions;
  readonly #queue: FairQueue;
  #dummyHash: Promise<string> | undefined;

  constructor(options: PasswordOptions) {
    this.#options = options;
    this.#queue = new FairQueue(options);
  }

  /**
   * @returns PHC string
   * @throws {ApiError} INVALID_PARAMETERS when it is too long; SERVICE_UNAVAILABLE when too many wait
   */
  hash(password: string, share: Share): Promise<string> {
    const { maxBytes } = this.#options;
    if (Buffer.byteLength(password) > maxBytes) {
      throw invalidParameter('password', `must NOT have more than ${maxBytes} bytes`);
    }
    return this.#take(share, () => this.#hashNow(password));
  }

  /**
   * Takes the same time whether or not there is a hash: without one, a dummy is checked. So it does
   * for a password that is too long: a guess that costs nothing could be made without end.
   * @throws {ApiError} SERVICE_UNAVAILABLE when too many wait
   */
  async isRight(password: string, stored: string | undefined, share: Share): Promise<boolean> {
    const isTooLong = Buffer.byteLength(password) > this.#options.maxBytes;
    const isChecked = !isTooLong && stored !== undefined && this.#isBearable(stored);
    const against = isChecked ? stored : undefined;
    return this.#take(share, async () => {
      this.#dummyHash ??= this.#hashNow(randomBytes(32).toString('base64url'));
      const { verify } = await loadArgon2();
      const isEqual = await verify(against ?? (await this.#dummyHash), isTooLong ? '' : password);
      return isEqual && against !== undefined;
    });
  }

  /** Whether a hash was made with other parameters than ours, so that it is worth making again. */
  isOutdated(stored: string): boolean {
    const [, memory, passes, lanes] = HASH_FORM.exec(stored) ?? [];
    return (
      Number(memory) !== this.#options.memoryKiB ||
      Number(passes) !== PASSES ||
      Number(lanes) !== LANES
    );
  }

  /** A stored value that is no hash, or one that asks for far more memory than ours, is treated as none. */
  #isBearable(stored: string): boolean {
    const [, memory, passes, lanes] = HASH_FORM.exec(stored) ?? [];
    return (
      Number(memory) <= this.#options.memoryKiB * MEMORY_FACTOR_MAX &&
      Number(passes) <= PASSES_MAX &&
      Number(lanes) <= LANES_MAX
    );
  }

  async #hashNow(password: string): Promise<string> {
    const { memoryKiB } = this.#options;
    const { hash } = await loadArgon2();
    // Argon2id is the library's default; its name is a const enum, which isolated modules cannot use.
    return hash(password, { memoryCost: memoryKiB, timeCost: PASSES, parallelism: LANES });
  }

  #take<T>(share: Share, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(
      share,
      work,
      () =>
        new ApiError('SERVICE_UNAVAILABLE', 'too many sign-ins wait: try again', {
          serviceName: 'sign-in',
        }),
    );
  }
}
