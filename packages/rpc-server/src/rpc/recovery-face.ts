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
  /** Whether a proxy is between: somebody else is behind that address. */
  readonly isForwarded: boolean;
}

export interface RecoveryFace {
  /** One-time URLs of an import. */
  readonly transfers: Transfers;
  /**
   * Answers a call.
   * @param readParameters validates them: asked only for methods that work
   * @throws {ApiError} RECOVERY for every method but the few that work, DEGRADED to other machines
   */
  call(method: string, readParameters: () => JsonObject, caller: RecoveryCaller): Promise<object>;
}
