/**
 * Goes on, beside serving, with a rewriting of all records that is under way: the one that this process
 * began at its start, or that of a process that is gone. The one that holds the lock drives; the others
 * look again each second.
 *
 * A failure leaves records in both forms, and both are served: it is named in log and status, and the
 * rewriting is taken up again with growing pauses, and by each start.
 */
import { DegradedError, OperationRefusedError, StoreError } from '../errors.js';
import { messageOf } from '../error-message.js';
import { UniqueContradictionError } from '../migration-error.js';
import type { MigrationLock } from '../state/lock.js';
import type { SealContent } from '../state/seal.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import type { StoreLogger } from '../store-logger.js';
import type { MigrationContext } from './migration-context.js';
import { finishRewriting } from './refile.js';

/** Why a rewriting does not come to its end. */
export interface OperationFailure {
  readonly cause: string;
  readonly advice: string;
  /** When it is taken up again by itself, ms since the epoch. */
  readonly nextAtMs: number;
  /** What was thrown. */
  readonly error: unknown;
}

export interface DriverParts {
  readonly keeper: SealKeeper;
  readonly logger: StoreLogger;
  /** @throws {StoreError} `DATABASE_LOCKED` while another process has it */
  readonly lock: () => Promise<MigrationLock>;
  /** @param onStep called before each step; what it throws ends the step */
  readonly context: (lock: MigrationLock, onStep: OnStep) => MigrationContext;
  /** As in the options of the database. */
  readonly onStep: OnStep | undefined;
}

type OnStep = (step: string) => Promise<void>;

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 300_000;
const ADVICE =
  'every record is served as it is; mend the cause: the rewriting is tried again by itself, and by each start';

/** Whether every record is being rewritten, in a state that is served. */
export function isRewriting({ state, previousDefinitions }: SealContent): boolean {
  return state === 'rekeying' || previousDefinitions !== null;
}

/** What has to wait for the end of it. @param what `verify`, for one */
export function rewritingRefusal(what: string): OperationRefusedError {
  return new OperationRefusedError(
    `every record is being rewritten: ${what} once that has ended, where it failed, vault-server status says what to do`,
  );
}

export class OperationDriver {
  readonly #parts: DriverParts;
  #failure: OperationFailure | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  /** Closed, or ended by a test as a crash would. */
  #isStopped = false;

  constructor(parts: DriverParts) {
    this.#parts = parts;
  }

  /** Of the last attempt; `undefined` when nothing failed since a rewriting came to its end. */
  get failure(): OperationFailure | undefined {
    return this.#failure;
  }

  /** Nothing is taken up any more; what runs ends at its next step. */
  stop(): void {
    this.#isStopped = true;
  }

  /** What failed is not waited for any longer. */
  hasten(): void {
    if (this.#failure !== undefined) this.#failure = { ...this.#failure, nextAtMs: 0 };
  }

  /** Goes on where there is something to go on with, and it is time for it. */
  async run(): Promise<void> {
    const { keeper } = this.#parts;
    if (!isRewriting(keeper.content)) this.#failure = undefined;
    else if (!this.#isStopped && Date.now() >= (this.#failure?.nextAtMs ?? 0)) await this.#drive();
  }

  async #drive(): Promise<void> {
    const { keeper } = this.#parts;
    let lock: MigrationLock;
    try {
      lock = await this.#parts.lock();
    } catch (error) {
      if (error instanceof StoreError && error.code === 'DATABASE_LOCKED') return;
      throw error;
    }
    try {
      await keeper.refresh('a rewriting is taken up');
      if (!isRewriting(keeper.content)) return;
      await finishRewriting(this.#parts.context(lock, (step) => this.#step(step)));
      this.#failure = undefined;
      this.#pauseMs = FIRST_PAUSE_MS;
    } catch (error) {
      // It says itself what is wrong; nothing is served any more.
      if (error instanceof DegradedError) throw error;
      this.#fail(error);
    } finally {
      await lock.release();
    }
  }

  async #step(step: string): Promise<void> {
    try {
      await this.#parts.onStep?.(step);
    } catch (error) {
      this.#isStopped = true;
      throw error;
    }
  }

  #fail(error: unknown): void {
    const cause = messageOf(error);
    const advice = error instanceof UniqueContradictionError ? error.advice : ADVICE;
    const isNews = this.#failure?.cause !== cause;
    this.#failure = { cause, advice, nextAtMs: Date.now() + this.#pauseMs, error };
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    // One line for each cause, not for each attempt.
    if (this.#isStopped || !isNews) return;
    const message = 'Credential database migration failed - the database is served in both forms';
    this.#parts.logger.error(message, { cause, advice });
  }
}
