/** From what somebody sent to who it is, and from who it was to who it still is. */
import { invalidCredentials } from '../rpc/api-error.js';
import type { AuditLog } from './audit-log.js';
import { decodeBase32, matchingStep } from './one-time-password.js';
import type { Passwords } from './passwords.js';
import type { Identity } from './session.js';
import type { AttemptOutcome, SignInThrottle } from './sign-in-throttle.js';
import type { Token, Tokens } from './tokens.js';
import type { User, Users } from './users.js';

/** Told to nobody but administrators: to others it is an unknown error, as in Xen Orchestra. */
export class SignInRefusedError extends Error {
  readonly code = 'SIGN_IN_REFUSED';
  constructor(message: 'too fast authentication tries' | 'empty password') {
    super(message);
    this.name = 'SignInRefusedError';
  }
}

export interface PasswordCredentials {
  readonly email: string;
  readonly password: string;
  /** Six digits, where the user has a one-time password secret. */
  readonly otp?: string | undefined;
}

export interface AuthenticatorOptions {
  readonly users: Users;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly throttle: SignInThrottle;
  readonly audit: AuditLog;
  readonly now: () => number;
}

function identityOf(user: User, token?: Token): Identity {
  const { id: userId, email, permission, mayReveal, groups, preferences, sessionGeneration } = user;
  const rights = { userId, email, permission, mayReveal, groups, preferences };
  const used = { tokenId: token?.id, tokenHash: token?.hash, expiresAtMs: token?.expiresAtMs };
  return { ...rights, ...used, sessionGeneration };
}

/** Tells the throttle how a check ends. One that rejects compared nothing, or a right password: no guess is gained. */
async function settled(
  settle: (outcome: AttemptOutcome) => void,
  check: Promise<User | undefined>,
): Promise<User | undefined> {
  let outcome: AttemptOutcome = 'unchecked';
  try {
    const user = await check;
    outcome = user === undefined ? 'wrong' : 'right';
    return user;
  } finally {
    settle(outcome);
  }
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  /** Latest time step whose code was used, by user: a code that was overheard opens nothing. */
  readonly #usedSteps = new Map<string, number>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** @throws {ApiError} INVALID_CREDENTIALS when the token is unknown, expired, or its user is gone */
  async byToken(bearer: string, address: string): Promise<Identity> {
    const { tokens, users, audit } = this.#options;
    const token = await tokens.byBearer(bearer);
    const user = token === undefined ? undefined : await users.byId(token.userId);
    if (token === undefined || user === undefined) {
      audit.record({ action: 'sign-in by token refused', address });
      throw invalidCredentials();
    }
    await tokens.noteUse(token, address);
    return identityOf(user, token);
  }

  /**
   * @throws {ApiError} INVALID_CREDENTIALS for a wrong name, password or one-time password
   * @throws {SignInRefusedError} for an empty password, and too soon after a failure of that name
   */
  async byPassword(credentials: PasswordCredentials, address: string): Promise<Identity> {
    const { throttle, audit } = this.#options;
    if (credentials.password === '') throw new SignInRefusedError('empty password');
    const settle = await throttle.reserve(credentials.email);
    if (settle === undefined) {
      audit.record({ action: 'sign-in throttled', address });
      throw new SignInRefusedError('too fast authentication tries');
    }
    const user = await settled(settle, this.#rightUser(credentials));
    if (user === undefined) {
      audit.record({ action: 'sign-in by password refused', address });
      throw invalidCredentials();
    }
    audit.record({ action: 'sign-in by password', userId: user.id, address });
    return identityOf(user);
  }

  /** Whether a signed-in user's own password is right, under the same throttle. */
  async isOwnPassword(identity: Identity, password: string, address: string): Promise<boolean> {
    const { throttle, users, passwords, audit } = this.#options;
    const settle = await throttle.reserve(identity.email);
    if (settle === undefined) throw new SignInRefusedError('too fast authentication tries');
    const { userId } = identity;
    const checked = users.byId(userId).then(async (user) => {
      const isRight = await passwords.isRight(password, user?.passwordHash);
      return isRight ? user : undefined;
    });
    const isRight = (await settled(settle, checked)) !== undefined;
    if (!isRight) audit.record({ action: 'own password refused', userId, address });
    return isRight;
  }

  /**
   * Reads users and tokens again. Aligned with `identities`; `undefined` for whoever must be signed
   * out: user gone, token deleted, replaced or expired, password reset.
   */
  async recheck(identities: readonly Identity[]): Promise<(Identity | undefined)[]> {
    const { users, tokens, now } = this.#options;
    const tokenIds = identities.flatMap(({ tokenId }) => tokenId ?? []);
    const [foundUsers, foundTokens] = await Promise.all([
      users.byIds(identities.map(({ userId }) => userId)),
      tokens.byIds(tokenIds),
    ]);
    const live = new Map(foundTokens.flatMap((token) => (token ? [[token.id, token]] : [])));
    return identities.map(({ tokenId, tokenHash, sessionGeneration }, at) => {
      const user = foundUsers[at];
      if (user === undefined || user.sessionGeneration !== sessionGeneration) return undefined;
      if (tokenId === undefined) return identityOf(user);
      const token = live.get(tokenId);
      const isSame = token?.userId === user.id && token.hash === tokenHash;
      const isLive = isSame && token.expiresAtMs > now();
      return isLive ? identityOf(user, token) : undefined;
    });
  }

  async #rightUser({ email, password, otp }: PasswordCredentials): Promise<User | undefined> {
    const { users, passwords } = this.#options;
    const user = await users.byEmail(email);
    const isRight = await passwords.isRight(password, user?.passwordHash);
    if (!isRight || user?.passwordHash === undefined) return undefined;
    if (!this.#isOneTimePasswordRight(user, otp)) return undefined;
    if (passwords.isOutdated(user.passwordHash)) await users.set(user.id, { password });
    return user;
  }

  #isOneTimePasswordRight({ id, otpSecret }: User, code: string | undefined): boolean {
    if (otpSecret === undefined) return true;
    const secret = decodeBase32(otpSecret);
    if (secret === undefined || secret.length === 0 || code === undefined) return false;
    const step = matchingStep(secret, code, this.#options.now());
    if (step === undefined || step <= (this.#usedSteps.get(id) ?? -1)) return false;
    this.#usedSteps.set(id, step);
    return true;
  }
}
