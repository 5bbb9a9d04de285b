/** From what somebody sent to who it is, and from who it was to who it still is. */
import { addressKey } from '../admission/client-address.js';
import { ApiError, invalidCredentials } from '../rpc/api-error.js';
import type { AuditLog } from './audit-log.js';
import { decodeBase32, matchingStep } from './one-time-password.js';
import type { OtpGuesses } from './otp-guesses.js';
import type { Passwords } from './passwords.js';
import { credentialOf } from './session.js';
import type { Identity } from './session.js';
import type { AttemptOutcome, Settle, SignInThrottle } from './sign-in-throttle.js';
import type { Token, Tokens } from './tokens.js';
import type { SignInTrace, User, Users } from './users.js';

/** In UTF-16 units; longer than any user's name. To compare one takes its time, and strangers send it. */
const NAME_LENGTH_MAX = 1024;

/** Nobody was wrong: the answer says only that it is too early. */
export function tooManySignIns(): ApiError {
  return new ApiError(
    'TOO_MANY_SIGN_INS',
    'too many wrong passwords for that name: wait some seconds and try again',
  );
}

export interface PasswordCredentials {
  readonly email: string;
  readonly password: string;
  /** Six digits, where the user has a one-time password secret. */
  readonly otp?: string | undefined;
}

/** Where a sign-in comes from. */
export interface Origin {
  /** See `Client`; an IPv6 address counts by its /64. */
  readonly address: string;
  /** What it came over, so that the connections of one address take turns. */
  readonly connection: object;
}

export interface AuthenticatorOptions {
  readonly users: Users;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly throttle: SignInThrottle;
  /** Of checks of the own password by who is signed in, by credential: strangers cannot use it up. */
  readonly ownThrottle: SignInThrottle;
  readonly otpGuesses: OtpGuesses;
  readonly audit: AuditLog;
  readonly now: () => number;
}

/** Who was signed in. */
export interface Rechecked {
  readonly identity: Identity;
  /** See `Session`. */
  readonly nextGenerations?: ReadonlySet<string>;
}

/** What a right password leaves to be written. */
type Trace = Omit<SignInTrace, 'address' | 'nowMs'>;

function identityOf(user: User, token?: Token): Identity {
  const { id: userId, email, permission, mayReveal, groups, preferences, sessionGeneration } = user;
  const rights = { userId, email, permission, mayReveal, groups, preferences };
  const used = { tokenId: token?.id, tokenHash: token?.hash, expiresAtMs: token?.expiresAtMs };
  return { ...rights, ...used, scope: token?.scope, sessionGeneration };
}

/** Tells the throttle how a check ends. One that rejects compared nothing, or a right password: no guess is gained. */
async function settled(
  settle: Settle,
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

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * @throws {ApiError} INVALID_CREDENTIALS when the token is unknown or expired, its user is gone, or
   * has another password since
   */
  async byToken(bearer: string, address: string): Promise<Identity> {
    const { tokens, users, audit } = this.#options;
    const token = await tokens.byBearer(bearer);
    const [user] = token === undefined ? [] : await users.byIds([token.userId]);
    const isLive = user !== undefined && token?.sessionGenerations.includes(user.sessionGeneration);
    if (token === undefined || user === undefined || isLive !== true) {
      audit.record({ action: 'sign-in by token refused', address });
      throw invalidCredentials();
    }
    await tokens.noteUse(token, address);
    return identityOf(user, token);
  }

  /** @throws {ApiError} INVALID_CREDENTIALS for a wrong name, password or one-time password; TOO_MANY_SIGN_INS */
  async byPassword(credentials: PasswordCredentials, origin: Origin): Promise<Identity> {
    const { users, throttle, audit } = this.#options;
    const { address, connection } = origin;
    const { email, password } = credentials;
    // Nobody has an empty password, or such a name: it is no guess, and costs nothing.
    if (password === '' || email.length > NAME_LENGTH_MAX) throw invalidCredentials();
    if (throttle.isWaiting(connection)) throw this.#throttled(address);
    const key = addressKey(address);
    const isKnown = this.#isKnown(await users.byEmail(email), key);
    const settle = await throttle.reserve({ name: email, address: key, connection, isKnown });
    if (settle === undefined) throw this.#throttled(address);
    const user = await settled(settle, this.#rightUser(credentials, key));
    if (user === undefined) {
      audit.record({ action: 'sign-in by password refused', address });
      throw invalidCredentials();
    }
    audit.record({ action: 'sign-in by password', userId: user.id, address });
    return identityOf(user);
  }

  /**
   * Whether a signed-in user's own password is right. Throttled apart from sign-ins, and each
   * credential apart from the others of its user: who stole a token waits for its own wrong guesses,
   * spends the budget of that token alone, and keeps the owner from nothing.
   * @throws {ApiError} TOO_MANY_SIGN_INS
   */
  async isOwnPassword(identity: Identity, password: string, origin: Origin): Promise<boolean> {
    const { ownThrottle, users, passwords, audit } = this.#options;
    const { userId } = identity;
    const { address, connection } = origin;
    const name = `${userId} ${credentialOf(identity)}`;
    // Not known, so that wrong ones count against the budget, as strangers' do.
    const attempt = { name, address: '', connection, isKnown: false };
    const settle = await ownThrottle.reserve(attempt);
    if (settle === undefined) throw this.#throttled(address);
    const share = { key: `user ${userId}`, isKnown: true };
    const checked = users.byId(userId).then(async (user) => {
      const isRight = await passwords.isRight(password, user?.passwordHash, share);
      return isRight ? user : undefined;
    });
    const isRight = (await settled(settle, checked)) !== undefined;
    if (!isRight) audit.record({ action: 'own password refused', userId, address });
    return isRight;
  }

  /** A connection was closed: what waits for it is given up. */
  leave(connection: object): void {
    this.#options.throttle.leave(connection);
    this.#options.ownThrottle.leave(connection);
  }

  /** Refuses all that wait for their turn. */
  stop(): void {
    this.#options.throttle.stop();
    this.#options.ownThrottle.stop();
  }

  /**
   * Reads users and tokens again. Aligned with `checked`; `undefined` for whoever must be signed
   * out: user gone, token deleted, replaced or expired, password or one-time password secret changed.
   */
  async recheck(checked: readonly Rechecked[]): Promise<(Identity | undefined)[]> {
    const { users, tokens, now } = this.#options;
    // Each once: one user may have a hundred sockets with the same token.
    const userIds = [...new Set(checked.map(({ identity }) => identity.userId))];
    const tokenIds = [...new Set(checked.flatMap(({ identity }) => identity.tokenId ?? []))];
    const [foundUsers, foundTokens] = await Promise.all([
      users.byIds(userIds),
      tokens.byIds(tokenIds),
    ]);
    const live = new Map(foundTokens.flatMap((token) => (token ? [[token.id, token]] : [])));
    const userOf = new Map(userIds.map((id, at) => [id, foundUsers[at]]));
    return checked.map(({ identity, nextGenerations }) => {
      const { userId, tokenId, tokenHash, sessionGeneration } = identity;
      const user = userOf.get(userId);
      if (user === undefined) return undefined;
      if (tokenId === undefined) {
        const { sessionGeneration: current } = user;
        const isLive = current === sessionGeneration || nextGenerations?.has(current) === true;
        return isLive ? identityOf(user) : undefined;
      }
      const token = live.get(tokenId);
      const isSame = token?.userId === user.id && token.hash === tokenHash;
      const isLive = isSame && token.sessionGenerations.includes(user.sessionGeneration);
      return isLive && token.expiresAtMs > now() ? identityOf(user, token) : undefined;
    });
  }

  #throttled(address: string): ApiError {
    this.#options.audit.record({ action: 'sign-in throttled', address });
    return tooManySignIns();
  }

  #isKnown(user: User | undefined, address: string): boolean {
    return user !== undefined && Object.hasOwn(user.signInAddresses, address);
  }

  async #rightUser(
    { email, password, otp }: PasswordCredentials,
    address: string,
  ): Promise<User | undefined> {
    const { users, passwords, audit, now } = this.#options;
    // Read again: an attempt may have waited for its turn.
    const user = await users.byEmail(email);
    const share = { key: address, isKnown: this.#isKnown(user, address) };
    const isRight = await passwords.isRight(password, user?.passwordHash, share);
    if (!isRight || user?.passwordHash === undefined) return undefined;
    const otpTrace = this.#otpTrace(user, otp, address);
    if (otpTrace === undefined) return undefined;
    const isOutdated = passwords.isOutdated(user.passwordHash);
    const trace: Trace = { ...otpTrace, ...(isOutdated ? { rehash: password } : {}) };
    return users.acceptSignIn(user, { address, nowMs: now(), ...trace }).catch((error: unknown) => {
      // A Redis that takes no writes keeps nobody out who must write nothing.
      if (Object.keys(otpTrace).length > 0) throw error;
      audit.record({ action: 'address of a sign-in not kept', userId: user.id, address });
      return users.unchanged(user);
    });
  }

  /** @returns the step to be used up, none where the user has no secret; `undefined` when the code is not right */
  #otpTrace(user: User, code: string | undefined, address: string): Trace | undefined {
    const { otpGuesses, audit } = this.#options;
    const { id, otpSecret, otpLastStep } = user;
    if (otpSecret === undefined) return {};
    const secret = decodeBase32(otpSecret);
    if (secret === undefined || secret.length === 0 || code === undefined) return undefined;
    const known = this.#isKnown(user, address) ? address : undefined;
    const otpStep = otpGuesses.compare(id, known, () => {
      const step = matchingStep(secret, code, this.#options.now());
      // Whether another sign-in is using it at this moment is decided when it is written.
      return step === undefined || step <= (otpLastStep ?? -1) ? undefined : step;
    });
    if (otpStep !== 'spent') return otpStep === undefined ? undefined : { otpStep };
    // The answer is that to a wrong code: another one would tell that the password is right.
    audit.record({ action: 'one-time password not compared', userId: id, address });
    return undefined;
  }
}
