/**
 * What the API answers in recovery mode: sign-in as `recovery`, a token, status, import; and to every
 * other call one error. Only at a door of its own on this machine: the port that is served otherwise
 * may have a proxy in front, behind which everybody has this machine's address.
 */
import type { Readable } from 'node:stream';
import type { DegradedError, StoreLogger } from '@vault/redis-store';
import { importProtection } from '../backup/import-protection.js';
import type { ImportParams, ImportResult } from '../backup/port.js';
import { LOCAL_ADDRESS } from '../admission/client-address.js';
import { recoveryElsewhereError, recoveryError, recoveryOverError } from '../http/api-state.js';
import { Transfers } from '../http/transfers.js';
import type { Limits } from '../limits.js';
import type { JsonObject } from '../protocol.js';
import { forbiddenOperation, invalidCredentials, unauthorized } from '../rpc/api-error.js';
import type { RecoveryCaller, RecoveryFace } from '../rpc/recovery-face.js';
import { AuditLog } from '../session/audit-log.js';
import { tooManySignIns } from '../session/authenticator.js';
import { publicUser } from '../session/session.js';
import type { Identity, Session } from '../session/session.js';
import { throttleOf } from '../session/sign-in-throttle.js';
import type { SignInThrottle } from '../session/sign-in-throttle.js';
import type { RecoveryPassword } from './recovery-password.js';
import { RecoveryTokens } from './recovery-tokens.js';

/** The one user of recovery mode; no user of the database may have that name (`session/users.ts`). */
const RECOVERY_USER = 'recovery';

export interface RecoveryDeskOptions {
  readonly password: RecoveryPassword;
  /** Where the mode is reached: `http://127.0.0.1:7401`, `unix:/var/lib/vault-server/data/vault.sock`. */
  readonly reached: readonly string[];
  /** Why the server would be degraded. */
  readonly degraded: DegradedError;
  readonly limits: Limits;
  readonly logger: StoreLogger;
  readonly version: string;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
  /**
   * Takes a config backup, and makes the server serve it.
   * @returns what the client is shown
   */
  readonly recover: (body: Readable, params: ImportParams) => Promise<string | ImportResult>;
}

const IDENTITY: Identity = {
  userId: RECOVERY_USER,
  email: RECOVERY_USER,
  permission: 'admin',
  mayReveal: false,
  groups: [],
  preferences: {},
  tokenId: undefined,
  tokenHash: undefined,
  expiresAtMs: undefined,
  sessionGeneration: '',
};

type RecoveryMethod = (
  params: JsonObject,
  caller: RecoveryCaller,
) => Promise<object> | object | string;

export class RecoveryDesk implements RecoveryFace {
  readonly transfers: Transfers;
  readonly #options: RecoveryDeskOptions;
  readonly #throttle: SignInThrottle;
  readonly #tokens: RecoveryTokens;
  readonly #audit: AuditLog;
  readonly #now: () => number;
  /** Those that this desk gave: of nobody else who is signed in on a connection. */
  readonly #identities = new WeakSet<Identity>();
  #isRecovering = false;
  #isOver = false;

  constructor(options: RecoveryDeskOptions) {
    const { limits, logger, now = Date.now } = options;
    this.#options = options;
    this.#now = now;
    this.#throttle = throttleOf(limits, now);
    this.#tokens = new RecoveryTokens(now);
    this.#audit = new AuditLog(logger);
    this.transfers = new Transfers({ limits, logger });
  }

  get url(): string | undefined {
    return this.#options.reached.find((way) => way.startsWith('http:'));
  }

  leave(session: Session): void {
    this.#throttle.leave(session);
  }

  stop(): void {
    this.#isOver = true;
    this.#throttle.stop();
    this.#tokens.clear();
    this.transfers.clear();
  }

  async call(
    method: string,
    readParameters: () => JsonObject,
    caller: RecoveryCaller,
  ): Promise<object | string> {
    if (!caller.isLocal && !caller.isAtRecoveryDoor) throw recoveryElsewhereError(this.url);
    const run = this.#methods.get(method);
    if (run === undefined) throw recoveryError();
    this.#assertNotOver();
    return run(readParameters(), caller);
  }

  /** Asked after each wait: the database that is served by then has users of its own. */
  #assertNotOver(): void {
    if (this.#isOver) throw recoveryOverError();
  }

  #assertSignedIn({ session }: RecoveryCaller): void {
    const { identity } = session;
    if (identity === undefined || !this.#identities.has(identity)) throw unauthorized('admin');
  }

  #letIn(session: Session, identity: Identity): object {
    this.#assertNotOver();
    this.#identities.add(identity);
    session.signIn(identity, this.#now());
    return publicUser(identity);
  }

  readonly #methods: ReadonlyMap<string, RecoveryMethod> = new Map<string, RecoveryMethod>([
    ['session.signIn', (params, caller) => this.#signIn(params, caller)],
    ['token.create', (params, caller) => this.#createToken(params, caller)],
    ['system.getStatus', (_, caller) => this.#status(caller)],
    ['system.importConfig', (params, caller) => this.#offerImport(params, caller)],
  ]);

  async #signIn(
    { email, username, password, token }: JsonObject,
    { session, address, isLocal }: RecoveryCaller,
  ): Promise<object> {
    if (typeof token === 'string') {
      const expiresAtMs = this.#tokens.expiryOf(token);
      const outcome = expiresAtMs === undefined ? ' refused' : '';
      const userId = expiresAtMs === undefined ? undefined : RECOVERY_USER;
      this.#audit.record({ action: `sign-in to recovery by token${outcome}`, userId, address });
      if (expiresAtMs === undefined) throw invalidCredentials();
      return this.#letIn(session, { ...IDENTITY, tokenId: RECOVERY_USER, expiresAtMs });
    }
    const name = email ?? username;
    // Another name is no guess, and costs nothing.
    const isGuess =
      typeof name === 'string' && typeof password === 'string' && isRecoveryUser(name);
    const isRight = isGuess && (await this.#isPassword(password, session, isLocal));
    const action = isRight ? 'sign-in to recovery' : 'sign-in to recovery refused';
    this.#audit.record({ action, userId: isRight ? RECOVERY_USER : undefined, address });
    if (!isRight) throw invalidCredentials();
    return this.#letIn(session, { ...IDENTITY });
  }

  /**
   * One try at a time for all who come to the port: a user of this machine has all of 127.0.0.0/8 to
   * come from. The local socket, which only who administers it can open, is not held up by them.
   */
  async #isPassword(password: string, session: Session, isLocal: boolean): Promise<boolean> {
    const address = isLocal ? LOCAL_ADDRESS : RECOVERY_USER;
    const attempt = { name: RECOVERY_USER, address, connection: session, isKnown: true };
    const settle = await this.#throttle.reserve(attempt);
    this.#assertNotOver();
    if (settle === undefined) throw tooManySignIns();
    const isRight = this.#options.password.isRight(password);
    settle(isRight ? 'right' : 'wrong');
    return isRight;
  }

  #createToken({ expiresIn }: JsonObject, caller: RecoveryCaller): string {
    this.#assertSignedIn(caller);
    if (caller.session.identity?.tokenId !== undefined) {
      throw forbiddenOperation('token.create', 'a token makes no token: sign in with the password');
    }
    const bearer = this.#tokens.create(expiresIn);
    const { address } = caller;
    this.#audit.record({ action: 'token.create in recovery', userId: RECOVERY_USER, address });
    return bearer;
  }

  #status(caller: RecoveryCaller): object {
    this.#assertSignedIn(caller);
    const { degraded, version } = this.#options;
    const { reason, message, details } = degraded;
    return { mode: 'recovery', version, reason, message, ...details };
  }

  #offerImport(sent: JsonObject, caller: RecoveryCaller): object {
    this.#assertSignedIn(caller);
    const params = sent as ImportParams;
    importProtection(params);
    return this.transfers.offerUpload(
      { receive: (body) => this.#import(body, params, caller.address) },
      { userId: RECOVERY_USER, tokenId: undefined, check: async () => this.#assertNotOver() },
    );
  }

  async #import(
    body: Readable,
    params: ImportParams,
    address: string,
  ): Promise<string | ImportResult> {
    this.#assertNotOver();
    if (this.#isRecovering) {
      throw forbiddenOperation('system.importConfig', 'another import is under way');
    }
    this.#isRecovering = true;
    try {
      this.#audit.record({ action: 'importConfig in recovery', userId: RECOVERY_USER, address });
      return await this.#options.recover(body, params);
    } finally {
      this.#isRecovering = false;
    }
  }
}

function isRecoveryUser(name: string): boolean {
  return name.trim().normalize('NFKC').toLowerCase() === RECOVERY_USER;
}
