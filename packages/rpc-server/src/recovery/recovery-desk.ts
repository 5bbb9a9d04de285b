/**
 * What the API answers in recovery mode: sign-in as `recovery`, a token, status, import; and to every
 * other call one error. Only at a door of its own on this machine: the port that is served otherwise
 * may have a proxy in front, behind which everybody has this machine's address.
 */
import type { Readable } from 'node:stream';
import type { DegradedError, StoreLogger } from '@vault/redis-store';
import { importProtection } from '../backup/import-protection.js';
import type { ImportParams, ImportResult } from '../backup/port.js';
import { recoveryElsewhereError, recoveryError } from '../http/api-state.js';
import { Transfers } from '../http/transfers.js';
import type { Limits } from '../limits.js';
import type { JsonObject } from '../protocol.js';
import { forbiddenOperation, invalidCredentials, unauthorized } from '../rpc/api-error.js';
import type { RecoveryCaller, RecoveryFace } from '../rpc/recovery-face.js';
import { AuditLog } from '../session/audit-log.js';
import { tooManySignIns } from '../session/authenticator.js';
import { publicUser } from '../session/session.js';
import type { Identity } from '../session/session.js';
import { throttleOf } from '../session/sign-in-throttle.js';
import type { SignInThrottle } from '../session/sign-in-throttle.js';
import type { RecoveryPassword } from './recovery-password.js';
import { RecoveryTokens } from './recovery-tokens.js';

/** The one user of recovery mode; no user of the database may have that name (`session/users.ts`). */
const RECOVERY_USER = 'recovery';

export interface RecoveryDeskOptions {
  readonly password: RecoveryPassword;
  /** Where the mode is reached, `http://127.0.0.1:7401`. */
  readonly url: string;
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
  #isRecovering = false;

  constructor(options: RecoveryDeskOptions) {
    const { limits, logger, now = Date.now } = options;
    this.#options = options;
    this.#now = now;
    this.#throttle = throttleOf(limits, now);
    this.#tokens = new RecoveryTokens(now);
    this.#audit = new AuditLog(logger);
    this.transfers = new Transfers({ limits, logger });
  }

  get url(): string {
    return this.#options.url;
  }

  async call(
    method: string,
    readParameters: () => JsonObject,
    caller: RecoveryCaller,
  ): Promise<object | string> {
    if (!caller.isLocal && !caller.isAtRecoveryDoor) throw recoveryElsewhereError(this.url);
    const run = this.#methods.get(method);
    if (run === undefined) throw recoveryError();
    return run(readParameters(), caller);
  }

  readonly #methods: ReadonlyMap<string, RecoveryMethod> = new Map<string, RecoveryMethod>([
    ['session.signIn', (params, caller) => this.#signIn(params, caller)],
    ['token.create', (params, caller) => this.#createToken(params, caller)],
    ['system.getStatus', (_, caller) => this.#status(caller)],
    ['system.importConfig', (params, caller) => this.#offerImport(params, caller)],
  ]);

  async #signIn(
    { email, username, password, token }: JsonObject,
    { session, address }: RecoveryCaller,
  ): Promise<object> {
    if (typeof token === 'string') {
      const expiresAtMs = this.#tokens.expiryOf(token);
      const outcome = expiresAtMs === undefined ? ' refused' : '';
      const userId = expiresAtMs === undefined ? undefined : RECOVERY_USER;
      this.#audit.record({ action: `sign-in to recovery by token${outcome}`, userId, address });
      if (expiresAtMs === undefined) throw invalidCredentials();
      session.signIn({ ...IDENTITY, tokenId: RECOVERY_USER, expiresAtMs }, this.#now());
      return publicUser(IDENTITY);
    }
    const name = email ?? username;
    if (typeof name !== 'string' || typeof password !== 'string') throw invalidCredentials();
    // One name, one password, this machine alone: who calls is known.
    const attempt = { name, address, connection: session, isKnown: true };
    const settle = await this.#throttle.reserve(attempt);
    if (settle === undefined) throw tooManySignIns();
    const isRight = this.#options.password.isRight(password) && isRecoveryUser(name);
    settle(isRight ? 'right' : 'wrong');
    const action = isRight ? 'sign-in to recovery' : 'sign-in to recovery refused';
    this.#audit.record({ action, userId: isRight ? RECOVERY_USER : undefined, address });
    if (!isRight) throw invalidCredentials();
    session.signIn(IDENTITY, this.#now());
    return publicUser(IDENTITY);
  }

  #createToken({ expiresIn }: JsonObject, caller: RecoveryCaller): string {
    checkSignedIn(caller);
    if (caller.session.identity?.tokenId !== undefined) {
      throw forbiddenOperation('token.create', 'a token makes no token: sign in with the password');
    }
    const bearer = this.#tokens.create(expiresIn);
    const { address } = caller;
    this.#audit.record({ action: 'token.create in recovery', userId: RECOVERY_USER, address });
    return bearer;
  }

  #status(caller: RecoveryCaller): object {
    checkSignedIn(caller);
    const { degraded, version } = this.#options;
    const { reason, message, details } = degraded;
    return { mode: 'recovery', version, reason, message, ...details };
  }

  #offerImport(sent: JsonObject, caller: RecoveryCaller): object {
    checkSignedIn(caller);
    const params = sent as ImportParams;
    importProtection(params);
    return this.transfers.offerUpload(
      { receive: (body) => this.#import(body, params, caller.address) },
      { userId: RECOVERY_USER, check: () => Promise.resolve() },
    );
  }

  async #import(
    body: Readable,
    params: ImportParams,
    address: string,
  ): Promise<string | ImportResult> {
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

function checkSignedIn({ session }: RecoveryCaller): void {
  if (session.identity === undefined) throw unauthorized('admin');
}
