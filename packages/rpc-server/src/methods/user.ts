/** `user.*`: who may sign in, and what they may do. */
import { PERMISSIONS } from '../protocol.js';
import { forbiddenOperation, invalidCredentials, invalidParameter } from '../rpc/api-error.js';
import type { CallContext } from '../rpc/call-context.js';
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';
import { changeSecrets } from '../session/change-secrets.js';
import { decodeBase32 } from '../session/one-time-password.js';
import { assertMayGrant } from '../session/token-scope.js';
import { tokenInfo } from '../session/tokens.js';
import type { ChangedBy, User, UserChanges } from '../session/users.js';

/** Passwords that people choose; NIST SP 800-63B §5.1.1.2 wants 8 at least. */
const PASSWORD_CHARACTERS_MIN = 8;
const USERS_LIMIT = 10_000;

const ID = { type: 'string', description: 'id of the user' } as const;
const EMAIL = { type: 'string', maxLength: 254, description: 'name to sign in with' } as const;
const PASSWORD = { type: 'string', minLength: PASSWORD_CHARACTERS_MIN } as const;
const PERMISSION = { type: 'string', enum: PERMISSIONS, optional: true } as const;
const MAY_REVEAL = {
  type: 'boolean',
  optional: true,
  description: 'may read secret values with <collection>.reveal',
} as const;
const GROUPS = { type: 'array', items: { type: 'string' }, optional: true } as const;
const PREFERENCES = {
  type: 'object',
  optional: true,
  description: 'any settings of the clients, at most 16 KiB; no secrets: they come back unmasked',
} as const;

/** What administrators see of a user: no hash, no secret, only whether there is one. */
function userObject(user: User): object {
  const { id, email, permission, mayReveal, groups, preferences, passwordHash, otpSecret } = user;
  return {
    id,
    email,
    permission,
    mayReveal,
    groups,
    preferences,
    hasPassword: passwordHash !== undefined,
    hasOtp: otpSecret !== undefined,
  };
}

/** Live connections of the user get the new rights at once, not at the next recheck. */
async function changed(context: CallContext, action: string, id: string): Promise<void> {
  const { userId } = context.identity();
  const { address, services } = context;
  services.audit.record({ action, userId, address, collection: 'user', id });
  await services.recheckRights([id]);
}

/**
 * Whose turn a change takes, and how to ask, before something is written, whether they still may: who
 * they are as of that moment, since the session may have gone on under another generation.
 */
function changedBy(context: CallContext, permission: 'none' | 'admin'): ChangedBy {
  const { services, session, identity } = context;
  const caller = identity();
  const assertStill = async (): Promise<void> => {
    const { identity: now } = session;
    const isSame = now?.userId === caller.userId && now.tokenId === caller.tokenId;
    await services.assertStill(isSame ? now : caller, permission);
  };
  return { caller, assertStill };
}

/** @throws {ApiError} INVALID_CREDENTIALS when it is not the caller's */
async function confirmOwnPassword(context: CallContext, password: string): Promise<void> {
  const { services, session, address } = context;
  const origin = { address, connection: session };
  const caller = context.identity();
  if (await services.authenticator.isOwnPassword(caller, password, origin)) return;
  throw invalidCredentials();
}

export const USER_METHODS: readonly Method[] = [
  method({
    name: 'user.create',
    description: 'creates a user',
    params: {
      email: EMAIL,
      password: { ...PASSWORD, optional: true, description: 'without: cannot sign in' },
      permission: PERMISSION,
      mayReveal: MAY_REVEAL,
      groups: GROUPS,
      preferences: PREFERENCES,
    },
    permission: 'admin',
    collection: 'user',
    result: 'id of the new user',
    async handler(user, context) {
      assertMayGrant(context.identity(), 'user.create');
      const id = await context.services.users.create(user, changedBy(context, 'admin'));
      await changed(context, 'user.create', id);
      return id;
    },
  }),
  method({
    name: 'user.set',
    description:
      'changes a user: administrators everything, others only their own preferences and one-time password secret; another password or secret ends every other session and token of the user',
    params: {
      id: ID,
      email: { ...EMAIL, optional: true },
      password: { ...PASSWORD, optional: true },
      permission: PERMISSION,
      mayReveal: MAY_REVEAL,
      groups: GROUPS,
      preferences: PREFERENCES,
      otpSecret: {
        type: ['string', 'null'],
        maxLength: 256,
        optional: true,
        description: 'base32; null switches one-time passwords off',
      },
      currentPassword: {
        type: 'string',
        optional: true,
        description: 'needed to change the own password or one-time password secret',
      },
    },
    permission: 'none',
    collection: 'user',
    result: 'true',
    async handler({ id, otpSecret, currentPassword, ...rest }, context) {
      const caller = context.identity();
      const isOwn = id === caller.userId;
      const needsAdministrator = !isOwn || Object.keys(rest).some((name) => name !== 'preferences');
      if (needsAdministrator && caller.permission !== 'admin') {
        throw forbiddenOperation('user.set', 'only an administrator changes that');
      }
      if (needsAdministrator) assertMayGrant(caller, 'user.set');
      const secret = typeof otpSecret === 'string' ? otpSecret : undefined;
      if (secret !== undefined && !decodeBase32(secret)?.length) {
        throw invalidParameter('otpSecret', 'must be base32');
      }
      const otp = otpSecret === undefined ? {} : { otpSecret: secret ?? null };
      const changes: UserChanges = { ...rest, ...otp };
      const by = changedBy(context, needsAdministrator ? 'admin' : 'none');
      if (rest.password === undefined && otpSecret === undefined) {
        await context.services.users.set(id, changes, by);
      } else {
        if (isOwn && currentPassword === undefined) {
          throw invalidParameter(
            'currentPassword',
            'is needed to change the own password or one-time password secret',
          );
        }
        if (isOwn) await confirmOwnPassword(context, currentPassword ?? '');
        await changeSecrets(context, id, changes, by);
      }
      await changed(context, 'user.set', id);
    },
  }),
  method({
    name: 'user.changePassword',
    description:
      'changes the own password; every other session and token of the user ends, the calling one lives on',
    params: { oldPassword: { type: 'string' }, newPassword: PASSWORD },
    permission: 'none',
    notInBatch: true,
    collection: 'user',
    result: 'true',
    async handler({ oldPassword, newPassword }, context) {
      const caller = context.identity();
      const by = changedBy(context, 'none');
      await confirmOwnPassword(context, oldPassword);
      await changeSecrets(context, caller.userId, { password: newPassword }, by);
      await changed(context, 'user.changePassword', caller.userId);
    },
  }),
  method({
    name: 'user.delete',
    description: 'deletes a user and its tokens',
    params: { id: ID },
    permission: 'admin',
    collection: 'user',
    result: 'true',
    async handler({ id }, context) {
      const { services } = context;
      if (id === context.identity().userId) {
        throw forbiddenOperation('user.delete', 'nobody deletes their own user');
      }
      await services.users.remove(id, changedBy(context, 'admin'));
      await services.tokens.removeOfUser(id);
      await changed(context, 'user.delete', id);
    },
  }),
  method({
    name: 'user.getAll',
    description: 'gives the users in order of id',
    params: {
      after: { type: 'string', optional: true, description: 'the last id seen' },
      limit: { type: 'integer', minimum: 1, maximum: USERS_LIMIT, optional: true },
    },
    permission: 'admin',
    effect: 'reads',
    collection: 'user',
    result: 'array of users, without anything secret',
    async handler({ after, limit = USERS_LIMIT }, { services }) {
      return (await services.users.page(after, limit)).map(userObject);
    },
  }),
  method({
    name: 'user.getAuthenticationTokens',
    description: 'gives the own tokens; see token.getAll',
    permission: 'none',
    notInBatch: true,
    atOncePerUser: 1,
    effect: 'reads',
    collection: 'token',
    result: 'array of tokens, without the bearer tokens',
    async handler(_, { services, identity }) {
      return (await services.tokens.ofUser(identity().userId)).map(tokenInfo);
    },
  }),
];
