/** The users of this server: records of the collection `user`, read as what the server needs of them. */
import { OutcomeUnknownError, RecordUnreadableError } from '@vault/redis-store';
import { randomUUID } from 'node:crypto';
import type { RecordCollection, RecordFields, StoredRecord } from '../rpc/database-port.js';
import {
  forbiddenOperation,
  invalidParameter,
  noSuchObject,
  unauthorized,
} from '../rpc/api-error.js';
import { recordPages } from '../rpc/record-pages.js';
import { PERMISSIONS } from '../protocol.js';
import type { JsonObject, Permission } from '../protocol.js';
import { ChangeTurns } from './change-turns.js';
import type { ChangeCaller } from './change-turns.js';
import type { Share } from './fair-queue.js';
import type { Passwords } from './passwords.js';

/** Recovery mode signs in under this name, so no user may have it. */
const RESERVED_NAME = 'recovery';

/** Addresses that are remembered as having signed in: a person has a few. */
const ADDRESSES_KEPT = 32;
/** One use of an address a day is written: more would make every sign-in a write. */
const ADDRESS_RESOLUTION_MS = 24 * 3_600_000;

export interface User {
  readonly id: string;
  readonly email: string;
  readonly permission: Permission;
  readonly mayReveal: boolean;
  readonly groups: readonly string[];
  readonly preferences: JsonObject;
  /** PHC string; `undefined` for a user who cannot sign in by password. */
  readonly passwordHash: string | undefined;
  /** Base32. */
  readonly otpSecret: string | undefined;
  /** Time step of the one-time password that was used last: a code that was overheard opens nothing, on any server. */
  readonly otpLastStep: number | undefined;
  /**
   * Sessions and tokens that were begun under another one are over: it changes with password and
   * one-time password secret. Empty until the first change.
   */
  readonly sessionGeneration: string;
  /** Addresses that signed in by password since it was set, and when, ms since the epoch. */
  readonly signInAddresses: Readonly<Record<string, number>>;
}

/** What a sign-in by password leaves in the record. */
export interface SignInTrace {
  readonly address: string;
  readonly nowMs: number;
  /** Step of the one-time password, where there was one. */
  readonly otpStep?: number;
  /** Right password, where its hash was made with other parameters than today's. */
  readonly rehash?: string;
}

export interface UserChanges {
  readonly email?: string;
  readonly password?: string;
  readonly permission?: Permission;
  readonly mayReveal?: boolean;
  readonly groups?: readonly string[];
  readonly preferences?: JsonObject;
  /** Base32; `null` switches one-time passwords off. */
  readonly otpSecret?: string | null;
}

/** Who changes password or one-time password secret, where it is the user. */
export interface OwnChange {
  /** The generation of the session that confirmed the old password: under another one nothing is written. */
  readonly under: string;
  /** The generation that their session goes on under. */
  readonly sessionGeneration: string;
  /** Stays known, as an IPv4 address or the /64 that a sign-in looks up. */
  readonly address: string;
  readonly nowMs: number;
}

/** On whose word something is changed. */
export interface ChangedBy {
  /** Takes its turn among the others that change something. Default: the server itself. */
  readonly caller?: ChangeCaller | undefined;
  /**
   * Asked last of all before the write: a change waits, for its hash and for other changes, and
   * whoever asked for it may have lost the right meanwhile. Default: nobody who could lose it.
   * @throws {ApiError} UNAUTHORIZED
   */
  readonly assertStill?: (() => Promise<void>) | undefined;
  /** Where the user changes their own secrets: that session goes on. */
  readonly own?: OwnChange | undefined;
}

/**
 * Anybody who is signed in writes their own. Were they to fill the record, the server could not write
 * into it any more that a password was changed, or a session ended.
 */
const PREFERENCES_BYTES_MAX = 16 * 1024;

function checkPreferences(preferences: JsonObject | undefined): void {
  if (preferences === undefined) return;
  if (Buffer.byteLength(JSON.stringify(preferences)) <= PREFERENCES_BYTES_MAX) return;
  throw invalidParameter(
    'preferences',
    `must NOT have more than ${PREFERENCES_BYTES_MAX} bytes as JSON`,
  );
}

function isPermission(value: unknown): value is Permission {
  return PERMISSIONS.includes(value as Permission);
}
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function timesOf(value: unknown): Record<string, number> {
  const times = Object.entries(isObject(value) ? value : {});
  return Object.fromEntries(
    times.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

/** Believes nothing of the record but its types: what does not fit gives the least right. */
export function userOf({ id, record }: StoredRecord): User {
  const { permission, groups, preferences, otpLastStep } = record;
  return {
    id,
    email: textOf(record['email']) ?? '',
    permission: isPermission(permission) ? permission : 'none',
    mayReveal: record['mayReveal'] === true,
    groups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
    preferences: isObject(preferences) ? preferences : {},
    passwordHash: textOf(record['pwHash']),
    otpSecret: textOf(record['otpSecret']),
    otpLastStep: typeof otpLastStep === 'number' ? otpLastStep : undefined,
    sessionGeneration: textOf(record['sessionGeneration']) ?? '',
    signInAddresses: timesOf(record['signInAddresses']),
  };
}

export class Users {
  readonly #collection: RecordCollection;
  readonly #passwords: Passwords;
  /** Rules over several users hold only one change at a time. */
  readonly #turns = new ChangeTurns();

  constructor(collection: RecordCollection, passwords: Passwords) {
    this.#collection = collection;
    this.#passwords = passwords;
  }

  async byId(id: string): Promise<User | undefined> {
    const stored = await this.#collection.get(id);
    return stored === undefined ? undefined : userOf(stored);
  }

  /** Aligned with `ids`; a user that is gone or cannot be read is `undefined`. */
  async byIds(ids: readonly string[]): Promise<(User | undefined)[]> {
    const found = await this.#collection.getMany(ids);
    return found.map((stored) =>
      stored === undefined || stored instanceof Error ? undefined : userOf(stored),
    );
  }

  /** The user as of now; `undefined` where it is gone, or its password or one-time password secret another one. */
  async unchanged(user: User): Promise<User | undefined> {
    const current = await this.byId(user.id);
    return current !== undefined && hasSameSecrets(current, user) ? current : undefined;
  }

  /** By name, which ignores case. */
  async byEmail(email: string): Promise<User | undefined> {
    const [stored] = await this.#collection.find({ email: email.trim() }, { limit: 1 });
    return stored === undefined ? undefined : userOf(stored);
  }

  /** In order of id. */
  async page(after: string | undefined, limit: number): Promise<User[]> {
    const users: User[] = [];
    const query = after === undefined ? { limit } : { after, limit };
    for await (const page of recordPages(this.#collection, query)) users.push(...page.map(userOf));
    return users;
  }

  /** @returns id of the new user */
  async create(
    user: UserChanges & { readonly email: string },
    { caller, assertStill }: Omit<ChangedBy, 'own'> = {},
  ): Promise<string> {
    const share = { key: 'new users', isKnown: true };
    const fields = await this.#fields({ permission: 'none', ...user }, share);
    return this.#turns.run(caller, async () => {
      await assertStill?.();
      return this.#collection.add(fields);
    });
  }

  /**
   * A new password or one-time password secret ends all sessions and tokens of the user.
   * @throws {ApiError} NO_SUCH_OBJECT; FORBIDDEN_OPERATION when no administrator would be left;
   *   UNAUTHORIZED when who changes it lost the right while it waited: nothing was changed
   */
  async set(
    id: string,
    changes: UserChanges,
    { caller, assertStill, own }: ChangedBy = {},
  ): Promise<void> {
    const share = { key: `user ${id}`, isKnown: true };
    // Before its turn: a hash takes its time, and what is asked below must hold when it is written.
    const fields = await this.#fields(changes, share);
    await this.#turns.run(caller, async () => {
      const user = await this.byId(id);
      if (user === undefined) throw noSuchObject(id, 'user');
      const isLowered = changes.permission !== undefined && changes.permission !== 'admin';
      if (isLowered) await this.#keepOneAdministrator(user, 'user.set');
      await assertStill?.();
      const write = (): Promise<StoredRecord> =>
        this.#collection.update(id, (record) => {
          const current = userOf({ id, record });
          // Compared and set as one, on whatever server somebody else changes them.
          if (own !== undefined && own.under !== current.sessionGeneration)
            throw unauthorized('none');
          return { ...record, ...fields, ...ended(current, changes, own) };
        });
      await (isLowered ? this.#lowered(user, 'user.set', write) : write());
    });
  }

  /**
   * Writes what a sign-in leaves, as one compare-and-set: of two sign-ins with one step, on whatever
   * servers, one is refused; and so is one whose password was changed meanwhile.
   * @param user as the password was compared with
   * @returns the user as of now; `undefined` where the sign-in does not stand
   */
  async acceptSignIn(
    user: User,
    { address, nowMs, otpStep, rehash }: SignInTrace,
  ): Promise<User | undefined> {
    const lastMs = user.signInAddresses[address] ?? -Infinity;
    const isNoted = nowMs - lastMs < ADDRESS_RESOLUTION_MS;
    if (isNoted && otpStep === undefined && rehash === undefined) return this.unchanged(user);
    const share = { key: `user ${user.id}`, isKnown: true };
    const pwHash =
      rehash === undefined ? {} : { pwHash: await this.#passwords.hash(rehash, share) };
    let isAccepted = false;
    const stored = await this.#collection.update(user.id, (record) => {
      const current = userOf({ id: user.id, record });
      const { otpLastStep = -1, signInAddresses } = current;
      isAccepted =
        hasSameSecrets(current, user) && (otpStep === undefined || otpStep > otpLastStep);
      if (!isAccepted) return undefined;
      return {
        ...record,
        ...pwHash,
        ...(otpStep === undefined ? {} : { otpLastStep: otpStep }),
        signInAddresses: latest({ ...signInAddresses, [address]: nowMs }),
      };
    });
    return isAccepted ? userOf(stored) : undefined;
  }

  /**
   * Also a user whose record cannot be read: somebody changed it in Redis.
   * @throws {ApiError} NO_SUCH_OBJECT; FORBIDDEN_OPERATION when no administrator would be left
   */
  remove(id: string, { caller, assertStill }: Omit<ChangedBy, 'own'> = {}): Promise<void> {
    return this.#turns.run(caller, async () => {
      const [user] = await this.#collection.getMany([id]);
      if (user === undefined) throw noSuchObject(id, 'user');
      if (user instanceof Error && !(user instanceof RecordUnreadableError)) throw user;
      // Who cannot be read is no administrator; but somebody must be one.
      await this.#keepOneAdministrator(
        user instanceof Error ? { id, permission: 'admin' } : userOf(user),
        'user.delete',
      );
      await assertStill?.();
      const remove = (): Promise<unknown> => this.#collection.remove(id);
      await (user instanceof Error ? remove() : this.#lowered(userOf(user), 'user.delete', remove));
    });
  }

  /**
   * Takes the right of an administrator away, looks again whether there is another one, makes the change,
   * and gives the right back where there is none, or the change is refused. Of two servers that lower each
   * other's last one at once, both looked before and found one; but each writes before it looks again, so
   * at least one of them sees what the other did.
   */
  async #lowered(
    { id, permission }: User,
    operation: string,
    change: () => Promise<unknown>,
  ): Promise<void> {
    if (permission === 'admin') {
      await this.#collection.update(id, (record) => ({ ...record, permission: 'none' }));
    }
    try {
      await this.#keepOneAdministrator({ id, permission }, operation);
      await change();
    } catch (error) {
      // Whether it was made is then not known: the least right is the safe one.
      if (permission !== 'admin' || error instanceof OutcomeUnknownError) throw error;
      await this.#collection.update(id, (record) =>
        // What somebody else made of it on another server stays.
        record['permission'] === 'none' ? { ...record, permission } : undefined,
      );
      throw error;
    }
  }

  /** By records that were decrypted and say so themselves: index entries can be taken away or put back. */
  async #keepOneAdministrator(
    user: Pick<User, 'id' | 'permission'>,
    operation: string,
  ): Promise<void> {
    if (user.permission !== 'admin') return;
    const isAnother = (stored: StoredRecord): boolean =>
      stored.id !== user.id && userOf(stored).permission === 'admin';
    // The index is only where it is looked first.
    const indexed = await this.#collection.find({ permission: 'admin' });
    if (indexed.some(isAnother)) return;
    for await (const page of recordPages(this.#collection, {})) {
      if (page.some(isAnother)) return;
    }
    throw forbiddenOperation(operation, 'the last administrator stays one');
  }

  async #fields(changes: UserChanges, share: Share): Promise<RecordFields> {
    const { password, otpSecret, email, ...rest } = changes;
    const fields: Record<string, RecordFields[string]> = { ...rest };
    if (email !== undefined) fields['email'] = checkedName(email);
    checkPreferences(rest.preferences);
    if (password !== undefined) fields['pwHash'] = await this.#passwords.hash(password, share);
    if (otpSecret !== undefined) fields['otpSecret'] = otpSecret ?? undefined;
    return fields;
  }
}

function hasSameSecrets(a: User, b: User): boolean {
  return (
    a.passwordHash === b.passwordHash &&
    a.otpSecret === b.otpSecret &&
    a.sessionGeneration === b.sessionGeneration
  );
}

function latest(times: Readonly<Record<string, number>>): Record<string, number> {
  const newestFirst = Object.entries(times).toSorted(([, a], [, b]) => b - a);
  return Object.fromEntries(newestFirst.slice(0, ADDRESSES_KEPT));
}

/** What ends with the old password or one-time password secret: sessions, tokens, and what was known of addresses. */
function ended(user: User, changes: UserChanges, own: OwnChange | undefined): RecordFields {
  if (changes.password === undefined && changes.otpSecret === undefined) return {};
  const isOtherSecret = (changes.otpSecret ?? undefined) !== user.otpSecret;
  return {
    sessionGeneration: own?.sessionGeneration ?? randomUUID(),
    signInAddresses: own === undefined ? undefined : { [own.address]: own.nowMs },
    // The same secret again gives the same codes.
    ...(changes.otpSecret !== undefined && isOtherSecret ? { otpLastStep: undefined } : {}),
  };
}

function checkedName(email: string): string {
  const name = email.trim();
  if (name === '') throw invalidParameter('email', 'must NOT be blank');
  if (name.normalize('NFKC').toLowerCase() === RESERVED_NAME) {
    throw invalidParameter('email', `must NOT be the reserved name "${RESERVED_NAME}"`);
  }
  return name;
}
