/** All that exists only while a database is served, made together and stopped together. */
import type { StoreLogger } from '@vault/redis-store';
import type { ConfigBackup } from '../backup/port.js';
import type { Limits } from '../limits.js';
import { unauthorized } from '../rpc/api-error.js';
import type { Services } from '../rpc/call-context.js';
import { ChangeFeed } from '../rpc/change-feed.js';
import type { Database } from '../rpc/database-port.js';
import { ProgressFeed } from '../rpc/progress-feed.js';
import { AuditLog } from '../session/audit-log.js';
import { Authenticator } from '../session/authenticator.js';
import { OtpGuesses } from '../session/otp-guesses.js';
import { Passwords } from '../session/passwords.js';
import { RightsWatch } from '../session/rights-watch.js';
import { hasPermission } from '../session/session.js';
import type { Session } from '../session/session.js';
import { throttleOf } from '../session/sign-in-throttle.js';
import { Tokens } from '../session/tokens.js';
import { Users } from '../session/users.js';
import { notServedAnyMoreError } from './api-state.js';
import { Transfers } from './transfers.js';

export interface ServingOptions {
  readonly database: Database;
  readonly backup: ConfigBackup;
  readonly limits: Limits;
  readonly logger: StoreLogger;
  readonly version: string;
  readonly startedAtMs: number;
  readonly now: () => number;
  /** Told of a session whose user or token is gone. */
  readonly onEnd: (session: Session) => void;
}

/** Users of a database; also needed before it is served, for the first administrator. */
export function usersOf(database: Database, limits: Limits): Users {
  return new Users(database.collection('user'), passwordsOf(limits));
}

export function passwordsOf(limits: Limits): Passwords {
  return new Passwords({
    memoryKiB: limits.passwordMemoryKiB,
    atOnce: limits.passwordChecksAtOnce,
    waiting: limits.passwordChecksWaiting,
    maxBytes: limits.passwordBytes,
  });
}

export class Serving {
  readonly services: Services;
  readonly rights: RightsWatch;
  #isStopped = false;

  constructor(options: ServingOptions) {
    const { database, backup, limits, logger, version, startedAtMs, now, onEnd } = options;
    const passwords = passwordsOf(limits);
    const users = new Users(database.collection('user'), passwords);
    const tokens = new Tokens(
      database.collection('token'),
      limits.tokensPerUser,
      now,
      limits.maxTokenValidityMs,
    );
    const audit = new AuditLog(logger);
    const authenticator = new Authenticator({
      users,
      tokens,
      passwords,
      throttle: throttleOf(limits, now),
      ownThrottle: throttleOf(limits, now),
      otpGuesses: new OtpGuesses(limits, now),
      audit,
      now,
    });
    const transfers = new Transfers({ limits, logger });
    const changes = new ChangeFeed();
    this.services = {
      database,
      users,
      tokens,
      authenticator,
      backup,
      transfers,
      changes,
      progress: new ProgressFeed(),
      audit,
      limits,
      version,
      startedAtMs,
      now,
      assertServed: () => {
        if (this.#isStopped) throw notServedAnyMoreError();
      },
      recheckRights: (userIds) => this.rights.recheck(userIds),
      assertStill: async (identity, permission) => {
        const [current] = await authenticator.recheck([{ identity }]);
        if (current === undefined || !hasPermission(current, permission)) {
          throw unauthorized(permission);
        }
        return current;
      },
    };
    this.rights = new RightsWatch({
      authenticator,
      recheckMs: limits.rightsRecheckMs,
      now,
      onError: (error) => logger.warn('rights could not be rechecked', { cause: error }),
      onEnd,
    });
    this.rights.start();
    tokens.removeExpired().catch((error: unknown) => {
      logger.warn('expired tokens could not be removed', { cause: error });
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.rights.stop();
    this.services.authenticator.stop();
    this.services.transfers.clear();
    this.services.audit.flush();
  }
}
