/** The users of this server: records of the collection `user`, read as what the server needs of them. */
import type { RecordCollection, RecordFields, StoredRecord } from '../rpc/database-port.js';
import { forbiddenOperation, invalidParameter, noSuchObject } from '../rpc/api-error.js';
import { recordPages } from '../rpc/record-pages.js';
import { PERMISSIONS } from '../protocol.js';
import type { JsonObject, Permission } from '../protocol.js';
import type { Passwords } from './passwords.js';

/** Recovery mode signs in under this name, so no user may have it. */
const RESERVED_NAME = 'recovery';

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
  /** Sessions that were begun under another one are over; `undefined` until the first reset of the password. */
  readonly sessionGeneration: string | undefined;
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
  readonly sessionGeneration?: string;
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

/** Believes nothing of the record but its types: what does not fit gives the least right. */
export function userOf({ id, record }: StoredRecord): User {
  const { permission, groups, preferences } = record;
  return {
    id,
    email: textOf(record['email']) ?? '',
    permission: isPermission(permission) ? permission : 'none',
    mayReveal: record['mayReveal'] === true,
    groups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
    preferences: isObject(preferences) ? preferences : {},
    passwordHash: textOf(record['pwHash']),
    otpSecret: textOf(record['otpSecret']),
    sessionGeneration: textOf(record['sessionGeneration']),
  };
}

export class Users {
  readonly #collection: RecordCollection;
  readonly #passwords: Passwords;
  /** The last change under way: rules over several users hold only one change at a time. */
  #lastChange: Promise<unknown> = Promise.resolve();

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
  async create(user: UserChanges & { readonly email: string }): Promise<string> {
    return this.#collection.add(await this.#fields({ permission: 'none', ...user }));
  }

  /** @throws {ApiError} NO_SUCH_OBJECT; FORBIDDEN_OPERATION when no administrator would be left */
  set(id: string, changes: UserChanges): Promise<void> {
    return this.#exclusive(async () => {
      const user = await this.byId(id);
      if (user === undefined) throw noSuchObject(id, 'user');
      if (changes.permission !== undefined && changes.permission !== 'admin') {
        await this.#keepOneAdministrator(user, 'user.set');
      }
      await this.#collection.set(id, await this.#fields(changes));
    });
  }

  /** @throws {ApiError} NO_SUCH_OBJECT; FORBIDDEN_OPERATION when no administrator would be left */
  remove(id: string): Promise<void> {
    return this.#exclusive(async () => {
      const user = await this.byId(id);
      if (user === undefined) throw noSuchObject(id, 'user');
      await this.#keepOneAdministrator(user, 'user.delete');
      await this.#collection.remove(id);
    });
  }

  async #keepOneAdministrator(user: User, operation: string): Promise<void> {
    if (user.permission !== 'admin') return;
    const administrators = await this.#collection.find({ permission: 'admin' }, { limit: 2 });
    if (administrators.length < 2) {
      throw forbiddenOperation(operation, 'the last administrator stays one');
    }
  }

  async #fields(changes: UserChanges): Promise<RecordFields> {
    const { password, otpSecret, email, ...rest } = changes;
    const fields: Record<string, RecordFields[string]> = { ...rest };
    if (email !== undefined) fields['email'] = checkedName(email);
    if (password !== undefined) fields['pwHash'] = await this.#passwords.hash(password);
    if (otpSecret !== undefined) fields['otpSecret'] = otpSecret ?? undefined;
    return fields;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(work, work);
    this.#lastChange = result.catch(() => undefined);
    return result;
  }
}

function checkedName(email: string): string {
  const name = email.trim();
  if (name === '') throw invalidParameter('email', 'must NOT be blank');
  if (name.normalize('NFKC').toLowerCase() === RESERVED_NAME) {
    throw invalidParameter('email', `must NOT be the reserved name "${RESERVED_NAME}"`);
  }
  return name;
}
