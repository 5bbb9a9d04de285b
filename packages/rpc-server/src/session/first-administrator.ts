/** The first administrator of a new database: a random password, shown once, instead of a known one. */
import type { Database } from '../rpc/database-port.js';
import { generatePassword } from './generated-password.js';
import type { User, Users } from './users.js';

export const FIRST_ADMINISTRATOR_EMAIL = 'admin@admin.net';

/** Among the first of them an administrator is looked for. */
const USERS_LOOKED_AT = 1000;

export interface FirstAdministratorOptions {
  /** Default `admin@admin.net`, as in Xen Orchestra. */
  readonly email?: string | undefined;
  /** Default: random. */
  readonly password?: string | undefined;
  /** Called with a password that was made here, before the database knows that it has an administrator. */
  readonly keepPassword?: (password: string) => Promise<void>;
}

export interface FirstAdministrator {
  readonly email: string;
  /** Only when it was made here: to be shown once, and kept nowhere. `undefined` when the caller gave it. */
  readonly generatedPassword: string | undefined;
}

/**
 * Makes the first administrator unless this database had one. That it had is kept in the seal, so
 * that deleting user records in Redis never brings a new administrator about.
 *
 * A crash, or a password that could not be kept, before the seal leaves a user whose password nobody
 * has read: the next start gives it a new one. A seal that was made anew over users that are there
 * (`accept-database`) has forgotten that there was one: who is an administrator with a password then, stays the one.
 * @returns `undefined` when there was one already
 */
export async function ensureFirstAdministrator(
  database: Database,
  users: Users,
  { email = FIRST_ADMINISTRATOR_EMAIL, password, keepPassword }: FirstAdministratorOptions = {},
): Promise<FirstAdministrator | undefined> {
  if (database.isBootstrapped) return undefined;
  const others = (await users.page(undefined, USERS_LOOKED_AT)).filter(
    (user) => user.email !== email,
  );
  if (others.some(isAdministrating)) {
    await database.markBootstrapped();
    return undefined;
  }
  const generatedPassword = password === undefined ? generatePassword() : undefined;
  const secret = password ?? generatedPassword;
  const fields = { email, permission: 'admin' as const, ...(secret ? { password: secret } : {}) };
  const present = await users.byEmail(email);
  await (present === undefined ? users.create(fields) : users.set(present.id, fields));
  if (generatedPassword !== undefined) await keepPassword?.(generatedPassword);
  await database.markBootstrapped();
  return { email, generatedPassword };
}

function isAdministrating({ permission, passwordHash }: User): boolean {
  return permission === 'admin' && passwordHash !== undefined;
}
