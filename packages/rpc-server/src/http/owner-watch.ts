/**
 * Whether who asked for a transfer still may, asked again and again while it runs: it takes up to an
 * hour, and a user who is removed, demoted or has another password must not go on with it.
 */
import { apiErrorOf } from '../rpc/error-answer.js';
import { ApiError } from '../rpc/api-error.js';

export class OwnerWatch {
  readonly #check: () => Promise<void>;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #asking: Promise<void> | undefined;

  /**
   * @param check throws an {@link ApiError} where they may not any more
   * @param withinMs a lost right ends the transfer; asked twice as often, so that asking has time
   */
  constructor(check: () => Promise<void>, withinMs: number) {
    this.#check = check;
    this.#timer = setInterval(() => void this.#askNow(), withinMs / 2);
    this.#timer.unref();
  }

  /** Aborted, with {@link lost} for a reason, once the right is gone. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the transfer must end; `undefined` while it need not. */
  get lost(): ApiError | undefined {
    return this.signal.reason as ApiError | undefined;
  }

  /** Asks now: before what cannot be taken back. @throws {ApiError} UNAUTHORIZED, or what the check throws */
  async assertStill(): Promise<void> {
    this.signal.throwIfAborted();
    try {
      await this.#check();
    } catch (error) {
      throw this.#lose(error) ?? error;
    }
  }

  /**
   * What the work gives, or the loss, whichever comes first.
   * @param giveBack gets what comes too late
   */
  async orLost<T>(work: Promise<T>, giveBack: (late: T) => void): Promise<T> {
    const { signal } = this;
    const lost = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(this.lost), { once: true });
    });
    try {
      return await Promise.race([work, lost]);
    } catch (error) {
      if (signal.aborted) work.then(giveBack, () => undefined);
      throw error;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #askNow(): Promise<void> {
    this.#asking ??= this.#check()
      .catch((error: unknown) => {
        // A Redis that is away for a moment takes nobody's right; before its end the transfer asks again.
        if (apiErrorOf(error)?.code === 'UNAUTHORIZED') this.#lose(error);
      })
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  /** @returns what to throw; `undefined` where the right was not lost, but could not be asked for */
  #lose(error: unknown): ApiError | undefined {
    if (apiErrorOf(error)?.code !== 'UNAUTHORIZED') return undefined;
    if (!this.signal.aborted) {
      const message = 'not enough permissions: who asked for the transfer lost them';
      this.#controller.abort(new ApiError('UNAUTHORIZED', message, undefined, { cause: error }));
    }
    return this.lost;
  }
}
