/** `token.*`: bearer tokens for programs. Ids are those of the records; the bearer is shown once. */
import { partialMatch } from './partial-match.js';
import type { JsonObject } from '../protocol.js';
import { invalidParameters, noSuchObject, unauthorized } from '../rpc/api-error.js';
import type { CallContext, Services } from '../rpc/call-context.js';
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';
import { filterInSlices, WorkSlice } from '../rpc/work-slice.js';
import { parseDurationMs } from '../session/duration.js';
import { tokenInfo } from '../session/tokens.js';
import type { Token } from '../session/tokens.js';
import { checkScope, METHOD_PATTERN, narrowed } from '../session/token-scope.js';

/** Shortest validity, as in Xen Orchestra. */
const VALIDITY_MIN_MS = 60_000;

const CLIENT_ID_MAX = 256;

const DESCRIPTION = { type: 'string', maxLength: 1024 } as const;
const IDS = {
  type: 'array',
  items: { type: 'string' },
  minItems: 1,
  maxItems: 1000,
  optional: true,
  description: 'ids of token.getAll, or bearer tokens',
} as const;
const PATTERN = {
  type: 'object',
  minProperties: 1,
  optional: true,
  description: 'all tokens whose properties have these values',
} as const;

const SCOPE = {
  type: 'object',
  optional: true,
  additionalProperties: false,
  properties: {
    methods: {
      type: 'array',
      items: { type: 'string', pattern: METHOD_PATTERN },
      minItems: 1,
      maxItems: 200,
      uniqueItems: true,
    },
    collections: {
      type: 'array',
      items: { type: 'string' },
      minItems: 1,
      maxItems: 200,
      uniqueItems: true,
    },
    readOnly: { type: 'boolean' },
    mayReveal: { type: 'boolean' },
    mayCreateTokens: { type: 'boolean' },
  },
  description:
    'what it may of what the user may: {methods, collections, readOnly, mayReveal, mayCreateTokens}; with one, it reveals and creates tokens only where that is said',
} as const;

/** @param leftMs what is left of the token that creates it */
function validityMs(
  expiresIn: string | number | undefined,
  { limits }: Services,
  leftMs: number,
): number {
  const maxMs = Math.min(limits.maxTokenValidityMs, leftMs);
  if (expiresIn === undefined) return Math.min(limits.defaultTokenValidityMs, maxMs);
  const value = parseDurationMs(expiresIn);
  const problem =
    value === undefined
      ? 'must be a duration such as "2 days" or a number of milliseconds'
      : value < VALIDITY_MIN_MS
        ? `must be at least ${VALIDITY_MIN_MS} ms`
        : value > maxMs
          ? `must be at most ${maxMs} ms${maxMs === leftMs ? ', as the token that creates it' : ''}`
          : undefined;
  if (value !== undefined && problem === undefined) return value;
  const errors = [{ instancePath: '/expiresIn', message: problem ?? 'is not valid' }];
  throw invalidParameters(errors, `invalid parameters: expiresIn ${problem}`);
}

/** The named tokens; @throws {ApiError} NO_SUCH_OBJECT for one that is not among `isAllowed` */
async function named(
  { services }: CallContext,
  ids: readonly string[],
  isAllowed: (token: Token) => boolean,
): Promise<Token[]> {
  const found = await Promise.all(ids.map((id) => services.tokens.byIdOrBearer(id)));
  return found.map((token) => {
    // What was sent may be a bearer token: it is not sent back.
    if (token === undefined || !isAllowed(token)) throw noSuchObject('', 'token');
    return token;
  });
}

async function removeAll(context: CallContext, tokens: readonly Token[]): Promise<void> {
  const { services, address } = context;
  const { userId } = context.identity();
  for (const token of tokens) {
    const { id } = token;
    // oxlint-disable-next-line no-await-in-loop -- one at a time: up to 1000 at once would flood the connection
    await services.tokens.remove(token);
    services.audit.record({ action: 'token.delete', userId, address, collection: 'token', id });
  }
  await services.recheckRights(tokens.map(({ userId: owner }) => owner));
}

function selection(tokens: readonly string[] | undefined, pattern: JsonObject | undefined) {
  if ((tokens === undefined) === (pattern === undefined)) {
    throw invalidParameters([
      { instancePath: '', message: 'must have exactly one of the properties tokens and pattern' },
    ]);
  }
  const matches = partialMatch(pattern);
  return { ids: tokens ?? [], matches: (token: Token) => matches(tokenInfo(token)) };
}

export const TOKEN_METHODS: readonly Method[] = [
  method({
    name: 'token.create',
    description:
      'creates a bearer token for the signed-in user; those that a client has stay valid',
    params: {
      client: {
        type: 'object',
        optional: true,
        properties: { id: { type: 'string', minLength: 1, maxLength: CLIENT_ID_MAX } },
        required: ['id'],
      },
      description: { ...DESCRIPTION, optional: true },
      expiresIn: {
        type: ['string', 'number'],
        optional: true,
        description: 'duration ("2 days") or milliseconds; default 30 days',
      },
      scope: SCOPE,
    },
    permission: 'none',
    atOncePerUser: 1,
    effect: 'creates tokens',
    collection: 'token',
    result: 'the bearer token: shown once, stored nowhere',
    async handler({ client, description, expiresIn, scope }, context) {
      const { services, methods, address } = context;
      const caller = context.identity();
      const { userId, sessionGeneration, tokenId, expiresAtMs } = caller;
      if (scope !== undefined) checkScope(scope, methods.names, services.database.collections);
      const wanted = expiresIn as string | number | undefined;
      const leftMs = (expiresAtMs ?? Infinity) - services.now();
      const bearer = await services.tokens.create({
        userId,
        sessionGeneration,
        validityMs: validityMs(wanted, services, leftMs),
        description,
        clientId: client?.id,
        scope: tokenId === undefined ? scope : narrowed(caller.scope, scope),
        createdBy: tokenId,
        latestMs: expiresAtMs,
        assertStill: async () => {
          await services.assertStill(caller, 'none');
        },
      });
      services.audit.record({ action: 'token.create', userId, address });
      return bearer;
    },
  }),
  method({
    name: 'token.set',
    description: 'changes the description of a token, the own or (administrators) any',
    params: { id: { type: 'string' }, description: { ...DESCRIPTION, minLength: 0 } },
    permission: 'none',
    collection: 'token',
    result: 'true',
    async handler({ id, description }, context) {
      const { userId, permission } = context.identity();
      const isAllowed = (token: Token) => token.userId === userId || permission === 'admin';
      const [token] = await named(context, [id], isAllowed);
      if (token === undefined) return;
      await context.services.tokens.describe(token.id, description || undefined);
    },
  }),
  method({
    name: 'token.delete',
    description: 'deletes tokens of any user',
    params: { tokens: IDS, pattern: PATTERN },
    permission: 'admin',
    collection: 'token',
    result: 'true',
    async handler({ tokens, pattern }, context) {
      const { ids, matches } = selection(tokens, pattern);
      if (pattern === undefined) {
        await removeAll(context, await named(context, ids, () => true));
        return;
      }
      const found: Token[] = [];
      const slice = new WorkSlice();
      for await (const token of context.services.tokens.all()) {
        if (matches(token)) found.push(token);
        await slice.usedUp();
      }
      await removeAll(context, found);
    },
  }),
  method({
    name: 'token.deleteOwn',
    description: 'deletes tokens of the signed-in user',
    params: { tokens: IDS, pattern: PATTERN },
    permission: 'none',
    atOncePerUser: 1,
    collection: 'token',
    result: 'true',
    async handler({ tokens, pattern }, context) {
      const { ids, matches } = selection(tokens, pattern);
      const { userId } = context.identity();
      const own =
        pattern === undefined
          ? await named(context, ids, (token) => token.userId === userId)
          : await filterInSlices(await context.services.tokens.ofUser(userId), matches);
      await removeAll(context, own);
    },
  }),
  method({
    name: 'token.getAll',
    description: 'gives the own tokens, or (administrators) those of a user',
    params: { user: { type: 'string', optional: true, description: 'id of the user' } },
    permission: 'none',
    notInBatch: true,
    atOncePerUser: 1,
    effect: 'reads',
    collection: 'token',
    result: 'array of tokens, without the bearer tokens',
    async handler({ user }, { services, identity }) {
      const { userId, permission } = identity();
      const whose = user ?? userId;
      if (whose !== userId && permission !== 'admin') throw unauthorized('admin');
      return (await services.tokens.ofUser(whose)).map(tokenInfo);
    },
  }),
];
