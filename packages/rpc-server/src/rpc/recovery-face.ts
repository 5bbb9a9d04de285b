/** What the dispatcher and the HTTP server need of recovery mode; `recovery/recovery-desk.ts` fulfils it. */
import type { JsonObject } from '../protocol.js';
import type { Session } from '../session/session.js';
import type { Transfers } from '../http/transfers.js';

export interface RecoveryCaller {
  readonly session: Session;
  /** Address of the peer. */
  readonly address: string;
  /** Whether it came over the local Unix socket. */
  readonly isLocal: boolean;
  /** Whether it came to the port of recovery mode, on loopback. */
  readonly isAtRecoveryDoor: boolean;
}

export interface RecoveryFace {
  /** Where it is reached, `http://127.0.0.1:7401`; `undefined`: over the local socket alone. */
  readonly url: string | undefined;
  /** One-time URLs of an import. */
  readonly transfers: Transfers;
  /**
   * Answers a call.
   * @param readParameters validates them: asked only for methods that work
   * @throws {ApiError} RECOVERY for every method but the few that work, and wherever else than at its own door
   */
  call(
    method: string,
    readParameters: () => JsonObject,
    caller: RecoveryCaller,
  ): Promise<object | string>;
  /** A connection was closed: what waits for it is given up. */
  leave(session: Session): void;
  /** The mode is over: what began in it and waits is refused, and signs nobody in to what comes next. */
  stop(): void;
}
