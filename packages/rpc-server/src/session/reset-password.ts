/** A new password for somebody who lost theirs, given by whoever may open the database itself. */
import { generatePassword } from './generated-password.js';
import type { Tokens } from './tokens.js';
import type { User, Users } from './users.js';

export interface PasswordReset {
  /** As it was before. */
  readonly user: User;
  /** To be shown once: only its hash is kept. */
  readonly password: string;
  /** Tokens that were removed. */
  readonly tokens: number;
}

/**
 * Sets a random password, which ends the user's sessions and tokens: each server notices at its next
 * recheck. The dead tokens are removed. Interrupted in the middle, it is run again.
 * @param name of the user, in whatever case, or its id
 * @param withoutOtp switches one-time passwords off, too
 * @returns `undefined` when there is no such user
 */
export async function resetPassword(
  users: Users,
  tokens: Tokens,
  name: string,
  withoutOtp: boolean,
): Promise<PasswordReset | undefined> {
  const user = (await users.byEmail(name)) ?? (await users.byId(name));
  if (user === undefined) return undefined;
  const password = generatePassword();
  await users.set(user.id, { password, ...(withoutOtp && { otpSecret: null }) });
  return { user, password, tokens: await tokens.removeOfUser(user.id) };
}
