/** `session.*`: who is on this connection. */
import { invalidCredentials } from '../rpc/api-error.js';
import type { CallContext } from '../rpc/call-context.js';
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';
import { publicUser } from '../session/session.js';
import type { Origin } from '../session/authenticator.js';
import type { Identity } from '../session/session.js';

// An empty token or password gets the answer of a failed sign-in, not of a missing parameter.
const TOKEN = { type: 'string', minLength: 0, description: 'bearer token' } as const;
const PASSWORD = { type: 'string', minLength: 0 } as const;
const NAME = { type: 'string', minLength: 0, description: 'name of the user' } as const;
const OTP = {
  type: 'string',
  minLength: 0,
  // Six digits, and blanks as authenticator apps show them.
  maxLength: 32,
  optional: true,
  description: 'one-time password, where the user has a secret for it',
} as const;

function originOf({ session, address }: CallContext): Origin {
  return { address, connection: session };
}

function signedIn({ session, services }: CallContext, identity: Identity) {
  // It waited, and who has rights in one database may have none in what is served by now.
  services.assertServed();
  session.signIn(identity, services.now());
  return publicUser(identity);
}

const RESULT = 'the user: id, email, permission, groups, preferences';

export const SESSION_METHODS: readonly Method[] = [
  method({
    name: 'session.signIn',
    description: 'signs in by token, or by name (email or username) and password',
    params: {
      token: { ...TOKEN, optional: true },
      email: { ...NAME, optional: true },
      username: { ...NAME, optional: true },
      password: { ...PASSWORD, optional: true },
      otp: OTP,
    },
    permission: null,
    notInBatch: true,
    result: RESULT,
    async handler({ token, email, username, password, otp }, context) {
      const { authenticator } = context.services;
      if (token !== undefined) {
        return signedIn(context, await authenticator.byToken(token, context.address));
      }
      const name = email ?? username;
      if (name === undefined || password === undefined) throw invalidCredentials();
      const credentials = { email: name, password, otp };
      return signedIn(context, await authenticator.byPassword(credentials, originOf(context)));
    },
  }),
  method({
    name: 'session.signInWithPassword',
    description: 'signs in by name and password',
    params: { email: NAME, password: PASSWORD, otp: OTP },
    permission: null,
    notInBatch: true,
    result: RESULT,
    async handler({ email, password, otp }, context) {
      const credentials = { email, password, otp };
      const { authenticator } = context.services;
      return signedIn(context, await authenticator.byPassword(credentials, originOf(context)));
    },
  }),
  method({
    name: 'session.signInWithToken',
    description: 'signs in by token',
    params: { token: TOKEN },
    permission: null,
    notInBatch: true,
    result: RESULT,
    async handler({ token }, context) {
      const { authenticator } = context.services;
      return signedIn(context, await authenticator.byToken(token, context.address));
    },
  }),
  method({
    name: 'session.signOut',
    description: 'forgets who is signed in on this connection',
    permission: 'none',
    effect: 'session',
    result: 'true',
    handler(_, { session }) {
      session.signOut();
    },
  }),
  method({
    name: 'session.getUser',
    description: 'gives the signed-in user, or null',
    permission: null,
    result: `${RESULT}, or null`,
    handler(_, { session }) {
      return session.identity === undefined ? null : publicUser(session.identity);
    },
  }),
];
