/** Who did what to which object: lines in the server's log that hold names and ids, never values. */
import type { StoreLogger } from '@vault/redis-store';
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

export class AuditLog {
  readonly #logger: StoreLogger;

  constructor(logger: StoreLogger) {
    this.#logger = logger;
  }

  record(event: AuditEvent): void {
    const entries = Object.entries(event).filter(([, value]) => value !== undefined);
    this.#logger.info(AUDIT_MESSAGE, Object.fromEntries(entries));
  }
}
