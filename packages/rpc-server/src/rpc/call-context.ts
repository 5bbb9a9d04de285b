/** What a method gets beside its parameters. */
import type { ConfigBackup } from '../backup/port.js';
import type { Transfers } from '../http/transfers.js';
import type { Limits } from '../limits.js';
import type { Permission } from '../protocol.js';
import type { AuditLog } from '../session/audit-log.js';
import type { Authenticator } from '../session/authenticator.js';
import type { Identity, Session } from '../session/session.js';
import type { Tokens } from '../session/tokens.js';
import type { Users } from '../session/users.js';
import type { ChangeFeed } from './change-feed.js';
import type { Database } from './database-port.js';
import type { MethodTable } from './method-table.js';
import type { ProgressFeed } from './progress-feed.js';

/** Made anew each time that a database is opened; gone when it is not served any more. */
export interface Services {
  readonly database: Database;
  readonly users: Users;
  readonly tokens: Tokens;
  readonly authenticator: Authenticator;
  readonly backup: ConfigBackup;
  readonly transfers: Transfers;
  readonly changes: ChangeFeed;
  readonly progress: ProgressFeed;
  readonly audit: AuditLog;
  readonly limits: Limits;
  /** Version of the server's package. */
  readonly version: string;
  /** When the server started, ms since the epoch. */
  readonly startedAtMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** @throws {ApiError} STARTING once the database is not served any more: a sign-in may have waited that long */
  readonly assertServed: () => void;
  /** Compares all live sessions of these users with the database at once, after their rights were changed. */
  readonly recheckRights: (userIds: readonly string[]) => Promise<void>;
  /**
   * Whether somebody who was signed in when something began still has the permission.
   * @returns who they are now
   * @throws {ApiError} UNAUTHORIZED
   */
  readonly assertStill: (identity: Identity, permission: Permission) => Promise<Identity>;
}

export interface CallContext {
  readonly services: Services;
  readonly methods: MethodTable;
  readonly session: Session;
  /** Address of the peer, for audit and `last_uses`. */
  readonly address: string;
  /** Who calls. @throws {ApiError} UNAUTHORIZED when nobody is signed in */
  readonly identity: () => Identity;
  /** Tells the calling socket how far a long call is. */
  readonly progress: (phase: string, done: number, total: number) => void;
}
