/** Who did what to which object: lines in the server's log that hold names and ids, never values. */
import type { StoreLogger } from '@vault/redis-store';
import { TokenBucket } from '../admission/token-bucket.js';
import { AUDIT_MESSAGE } from '../log.js';

export interface AuditEvent {
  /** What was done: `reveal`, `sign-in failed`, `user.set`, … */
  readonly action: string;
  /** Id of the user who did it; `undefined` before sign-in. */
  readonly userId?: string | undefined;
  readonly address?: string | undefined;
  readonly collection?: string;
  readonly id?: string;
  /** Why it was refused. */
  readonly reason?: string;
}

/** Lines a second of those who are not signed in: anybody may be refused as often as the server can, and each time write a line. */
const STRANGERS_LINES = { burst: 40, perSecond: 20 };
/** Lines that were left out are told of this often. */
const SUMMARY_MS = 10_000;

export class AuditLog {
  readonly #logger: StoreLogger;
  readonly #strangers = new TokenBucket(STRANGERS_LINES, performance.now());
  /** By action, since the last summary. */
  readonly #leftOut = new Map<string, number>();
  #summary: NodeJS.Timeout | undefined;

  constructor(logger: StoreLogger) {
    this.#logger = logger;
  }

  /** One line, at once; of strangers so many a second, and the number of the others. */
  record(event: AuditEvent): void {
    if (event.userId === undefined && !this.#strangers.take(performance.now())) {
      this.#leaveOut(event.action);
      return;
    }
    const entries = Object.entries(event).filter(([, value]) => value !== undefined);
    this.#logger.info(AUDIT_MESSAGE, Object.fromEntries(entries));
  }

  /** Tells of the lines that were left out. */
  flush(): void {
    clearTimeout(this.#summary);
    this.#summary = undefined;
    if (this.#leftOut.size === 0) return;
    const leftOut = Object.fromEntries(this.#leftOut);
    this.#leftOut.clear();
    this.#logger.info(AUDIT_MESSAGE, { action: 'lines of strangers left out', leftOut });
  }

  #leaveOut(action: string): void {
    this.#leftOut.set(action, (this.#leftOut.get(action) ?? 0) + 1);
    this.#summary ??= setTimeout(() => this.flush(), SUMMARY_MS).unref();
  }
}
