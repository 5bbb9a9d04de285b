/**
 * Key management over HTTP, with the paths, statuses and bodies of Atlassian Crowd: rotate, list and
 * delete inactive keys. 401 for whoever is no administrator, 406 where conditions are not met, 429
 * after too many wrong passwords, 503 while nothing is served, 500 for anything unexpected.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StoreLogger } from '@vault/redis-store';
import type { ClientAddresses } from '../admission/client-address.js';
import type { ErrorName } from '../protocol.js';
import type { Services } from '../rpc/call-context.js';
import type { MethodTable } from '../rpc/method-table.js';
import { apiErrorOf } from '../rpc/error-answer.js';
import { hasPermission } from '../session/session.js';
import { assertInScope } from '../session/token-scope.js';
import type { Identity } from '../session/session.js';
import { headerCredentials } from './credentials.js';

export interface KeyRestOptions {
  /** @throws {ApiError} while nothing is served */
  readonly services: () => Services;
  readonly addresses: ClientAddresses;
  readonly logger: StoreLogger;
  /** Where the scope of a token is looked up. */
  readonly methods: MethodTable;
}

interface KeyRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** For audit. */
  readonly action: string;
  readonly run: (services: Services, query: Query) => Promise<object> | object;
}

/** Parameters after the `?` of the path. */
type Query = Readonly<Record<string, unknown>>;

async function rotate({ database }: Services): Promise<object> {
  const { activeKeyId, previousKeyId, records } = await database.rotateKey();
  const message = `Key ${activeKeyId} is active, ${records} records were encrypted anew; key ${previousKeyId} is inactive`;
  return { message, status: 'SUCCESS' };
}

async function deleteInactive({ database }: Services, { now = 'false' }: Query): Promise<object> {
  if (now !== 'true' && now !== 'false') {
    return { status: 406, message: 'the parameter "now" is true or false' } satisfies Refusal;
  }
  const { deletedKeys, condemnedKeys, notErased } = await database.deleteInactiveKeys({
    now: now === 'true',
  });
  return { deletedKeys, condemnedKeys, notErased };
}

export const KEY_ROUTES: readonly KeyRoute[] = [
  {
    method: 'POST',
    path: '/rest/secrets/1.0/keys/rotate',
    action: 'encryption.rotateKeys',
    run: rotate,
  },
  {
    method: 'PUT',
    path: '/rest/admin/1.0/encryption/changeKey',
    action: 'encryption.rotateKeys',
    run: rotate,
  },
  {
    method: 'GET',
    path: '/rest/secrets/1.0/keys/inactive',
    action: 'encryption.getInactiveKeys',
    run: ({ database }) => ({ inactiveKeys: [...database.inactiveKeyIds] }),
  },
  {
    method: 'DELETE',
    path: '/rest/secrets/1.0/keys/inactive',
    action: 'encryption.deleteInactiveKeys',
    run: deleteInactive,
  },
];

/** @returns `undefined` when there are no credentials, or not an administrator's */
async function administratorOf(
  services: Services,
  { headers, raw }: FastifyRequest,
  address: string,
): Promise<Identity | undefined> {
  const credentials = headerCredentials(headers);
  if (credentials === undefined) return undefined;
  const { authenticator } = services;
  const leave = (): void => authenticator.leave(raw.socket);
  raw.socket.once('close', leave);
  try {
    const identity = await (credentials.kind === 'token'
      ? authenticator.byToken(credentials.token, address)
      : authenticator.byPassword(credentials, { address, connection: raw.socket }));
    return hasPermission(identity, 'admin') ? identity : undefined;
  } catch (error) {
    if (apiErrorOf(error)?.code === 'INVALID_CREDENTIALS') return undefined;
    throw error;
  } finally {
    raw.socket.off('close', leave);
  }
}

/** Status and message of a refusal. */
interface Refusal {
  readonly status: 401 | 406 | 429 | 500 | 503;
  readonly message: string;
}

const NOT_SERVED: ReadonlySet<ErrorName> = new Set([
  'DEGRADED',
  'RECOVERY',
  'STARTING',
  'SERVICE_UNAVAILABLE',
]);

/** @returns `undefined` for an error that was not foreseen */
function refusalFrom(error: unknown): Refusal | undefined {
  const known = apiErrorOf(error);
  if (known?.code === 'FORBIDDEN_OPERATION') {
    return {
      status: 406,
      message: known.cause instanceof Error ? known.cause.message : known.message,
    };
  }
  if (known?.code === 'UNAUTHORIZED') return { status: 401, message: known.message };
  if (known?.code === 'TOO_MANY_SIGN_INS') return { status: 429, message: known.message };
  if (known !== undefined && NOT_SERVED.has(known.code)) {
    return { status: 503, message: known.message };
  }
  return undefined;
}

async function answer(
  route: KeyRoute,
  request: FastifyRequest,
  address: string,
  services: Services,
  methods: MethodTable,
) {
  const identity = await administratorOf(services, request, address);
  if (identity === undefined) {
    return { status: 401, message: 'the credentials of an administrator are needed' } as const;
  }
  const entry = methods.get(route.action);
  if (entry === undefined) throw new TypeError(`there is no method ${route.action}`);
  assertInScope(identity, entry.method);
  const { userId } = identity;
  services.audit.record({ action: route.action, userId, address });
  return route.run(services, request.query as Query);
}

function isRefusal(value: object): value is Refusal {
  return 'status' in value && typeof value.status === 'number';
}

function refuse(reply: FastifyReply, { status, message }: Refusal): void {
  void reply.code(status).header('Connection', 'close');
  if (status === 401) void reply.header('WWW-Authenticate', 'Basic realm="vault", charset="UTF-8"');
  void reply.send({ message, status: 'FAILED' });
}

/** Adds the routes. */
export function serveKeyRest(
  app: FastifyInstance,
  { services, addresses, methods, logger }: KeyRestOptions,
): void {
  for (const route of KEY_ROUTES) {
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      void reply.header('Cache-Control', 'no-store');
      let result: object;
      try {
        const { address } = addresses.clientOf(request.raw);
        result = await answer(route, request, address, services(), methods);
      } catch (error) {
        const refusal = refusalFrom(error);
        if (refusal === undefined) logger.error('unexpected error', { cause: error });
        const message = 'an unexpected error: see the log of the server';
        result = refusal ?? ({ status: 500, message } satisfies Refusal);
      }
      if (isRefusal(result)) refuse(reply, result);
      else void reply.send(result);
      // fastify waits for the answer itself, not for what an async handler returns.
      await reply;
    };
    app.route({ method: route.method, url: route.path, handler });
  }
}
