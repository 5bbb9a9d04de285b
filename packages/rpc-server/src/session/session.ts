/** Who is signed in on one connection. */
import type { JsonObject, Permission, PublicUser, TokenScope } from '../protocol.js';
import { PERMISSIONS } from '../protocol.js';

/** A signed-in user: what of the user's record matters to a connection. */
export interface Identity {
  readonly userId: string;
  readonly email: string;
  readonly permission: Permission;
  /** May read secret values without being an administrator. */
  readonly mayReveal: boolean;
  readonly groups: readonly string[];
  readonly preferences: JsonObject;
  /** The token that was used; `undefined` after a sign-in by password. */
  readonly tokenId: string | undefined;
  /** That of the token then: what is put in its place does not go on with its session. */
  readonly tokenHash: string | undefined;
  /** When that token expires, ms since the epoch. */
  readonly expiresAtMs: number | undefined;
  /** What the token may do; `undefined`: all that its user may, but create tokens. */
  readonly scope?: TokenScope | undefined;
  /** That of the user: see `User`. */
  readonly sessionGeneration: string;
}

/** Of a user who came in by password, however often: the id of a token is another text. */
const PASSWORD_CREDENTIAL = 'password';

/** What a user came in with: of one user these share, and the places of one leave places to the others. */
export function credentialOf({ tokenId }: Pick<Identity, 'tokenId'>): string {
  return tokenId ?? PASSWORD_CREDENTIAL;
}

export function hasPermission(identity: Identity, needed: Permission): boolean {
  return PERMISSIONS.indexOf(identity.permission) >= PERMISSIONS.indexOf(needed);
}

/** `reveal` is a grant of its own: somebody who may write records need not be able to read what others wrote. */
export function isRevealAllowed(identity: Identity): boolean {
  const isOutside = identity.scope !== undefined && identity.scope.mayReveal !== true;
  return !isOutside && (identity.mayReveal || identity.permission === 'admin');
}

export function publicUser(identity: Identity): PublicUser {
  const { userId, email, permission, groups, preferences } = identity;
  return { id: userId, email, permission, groups, preferences };
}

/** Mutable: the last sign-in wins, and a recheck may lower or end it. */
export class Session {
  #identity: Identity | undefined;
  #checkedAtMs = 0;
  /**
   * That its user gets from the changes of their secrets that it is making: a recheck that finds one of
   * them does not end it. One that finds another generation does, though a change is under way.
   */
  readonly nextGenerations = new Set<string>();
  readonly #onChange: (identity: Identity | undefined) => void;

  /**
   * @param onChange told after each sign-in, sign-out and change of rights
   * @param identity who is there from the beginning
   */
  constructor(onChange: (identity: Identity | undefined) => void = () => {}, identity?: Identity) {
    this.#onChange = onChange;
    this.#identity = identity;
  }

  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** When the rights were last compared with the database, ms since the epoch. */
  get checkedAtMs(): number {
    return this.#checkedAtMs;
  }

  signIn(identity: Identity, nowMs: number): void {
    this.#identity = identity;
    this.#checkedAtMs = nowMs;
    this.#onChange(identity);
  }

  signOut(): void {
    this.#identity = undefined;
    this.#onChange(undefined);
  }
}
