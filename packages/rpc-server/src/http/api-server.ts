/**
 * The faces of the server on one port: WebSocket at `/api/`, one-time transfers below it, health,
 * metrics and the console. Up from the first moment; what it can do is told by {@link Api.setState}.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { CollectionDefinitions, StoreLogger } from '@vault/redis-store';
import { once } from 'node:events';
import { ClientAddresses } from '../admission/client-address.js';
import type { ConnectionRegistry } from '../admission/connection-registry.js';
import { HttpConnections } from '../admission/http-connections.js';
import { Traffic } from '../admission/traffic.js';
import { TokenVoucher } from '../admission/token-voucher.js';
import type { InstanceIdentity } from '../instance-identity.js';
import { resolveLimits } from '../limits.js';
import type { Limits } from '../limits.js';
import { API_METHODS, collectionMethods } from '../methods/index.js';
import { API_PATH } from '../protocol.js';
import { MethodTable } from '../rpc/method-table.js';
import type { Connection } from '../rpc/connection.js';
import { Dispatcher } from '../rpc/dispatcher.js';
import {
  notServingError,
  readinessOf,
  recoveryElsewhereError,
  recoveryOverError,
} from './api-state.js';
import type { ApiState } from './api-state.js';
import { serveConsole } from './console.js';
import { RedisProbe, serveHealth } from './health.js';
import { createFaces } from './faces.js';
import { hasTooManyHeaders, refuseTooManyHeaders } from './header-count.js';
import { serveKeyRest } from './key-rest.js';
import { serveLocalKeys } from './local-keys.js';
import { listenLocally, LocalSocketError } from './local-socket.js';
import { ApiMetrics } from './metrics.js';
import { serveOpenApi } from './open-api.js';
import { RecoveryDoor } from './recovery-door.js';
import { RequestGuard } from './request-guard.js';
import { SECURITY_HEADERS } from './security-headers.js';
import { Serving } from './serving.js';
import { sharedByTurn } from './shared-by-turn.js';
import { SocketEndpoint } from './socket-endpoint.js';

export interface ApiOptions {
  readonly listen: { readonly host: string; /** 0: a free one. */ readonly port: number };
  /** PEM. Default: plain HTTP. */
  readonly tls?: { readonly cert: Buffer | string; readonly key: Buffer | string };
  /** Proves to commands beside the server which one answers. Default: it cannot. */
  readonly instance?: InstanceIdentity;
  /** Path of a Unix socket that is listened at too; one that cannot be is a warning. Default: none. */
  readonly localSocket?: string;
  /** Addresses and networks of proxies whose headers say who the client is. */
  readonly trustedProxies?: readonly string[];
  /** Host names that the server answers to, beside `localhost` and literal addresses. */
  readonly allowedHosts?: readonly string[];
  /** Origins of browsers' pages that may call, beside the server's own. */
  readonly allowedOrigins?: readonly string[];
  readonly limits?: Partial<Limits>;
  /** All collections, built-in ones included: the methods are made from them. */
  readonly collections: CollectionDefinitions;
  readonly logger: StoreLogger;
  /** Version of the package. */
  readonly version: string;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

export interface Api {
  /** For routes that are not the API's own. Only before {@link Api.listen}. */
  readonly app: FastifyInstance;
  readonly metrics: ApiMetrics;
  /** The table that the methods come from, for documents. */
  readonly methods: MethodTable;
  /** All open WebSockets. */
  readonly connections: ConnectionRegistry<Connection>;
  readonly state: ApiState;
  /** What a serving state is served with; `undefined` in any other. */
  readonly serving: Serving | undefined;
  /** @returns the URL, `http://127.0.0.1:7400` */
  listen(): Promise<string>;
  setState(state: ApiState): void;
  /** Another certificate, for connections to come; those that are open stay. Only where it listens with TLS. */
  setTls(tls: NonNullable<ApiOptions['tls']>): void;
  /**
   * Opens the port of recovery mode, on loopback; any other state closes it.
   * @returns where the mode is reached then: `http://127.0.0.1:7401` unless somebody else has the port,
   *   and `unix:<path>` where there is a local socket
   */
  openRecovery(port: number): Promise<readonly string[]>;
  /** Waits for calls under way, then closes sockets and port. */
  close(): Promise<void>;
}

/** Connections that wait to be accepted: with the 511 of Node, who comes in a flood of others waits for seconds. */
const BACKLOG = 4096;

export function createApi(options: ApiOptions): Api {
  const { logger, version, listen, now = Date.now } = options;
  const limits = resolveLimits(options.limits);
  const guard = new RequestGuard({
    allowedHosts: [...(options.allowedHosts ?? []), listen.host],
    allowedOrigins: options.allowedOrigins ?? [],
  });
  const addresses = new ClientAddresses(options.trustedProxies);
  const metrics = new ApiMetrics({
    openSockets: () => sockets.connections.size,
    bytesInFlight: () => traffic.budget.bytes,
  });
  const traffic = new Traffic(limits, (limit) => metrics.refusal(limit));
  const methods = new MethodTable([...API_METHODS, ...collectionMethods(options.collections)]);
  const startedAtMs = now();
  let state: ApiState = { mode: 'starting' };
  let serving: Serving | undefined;
  metrics.readiness(readinessOf(state));

  const services = () => {
    if (serving !== undefined) return serving.services;
    if (state.mode === 'serving') throw new TypeError('a serving state has no services');
    throw notServingError(state);
  };
  const transfersNow = () =>
    state.mode === 'recovery' ? state.recovery.transfers : serving?.services.transfers;
  const dispatcher = new Dispatcher({
    methods,
    limits,
    metrics,
    services,
    recovery: () => (state.mode === 'recovery' ? state.recovery : undefined),
    ensureFresh: (session) => serving?.rights.ensureFresh(session),
    onUnexpected: (method, error) => logger.error('unexpected error', { method, cause: error }),
  });
  const sockets = new SocketEndpoint({
    dispatcher,
    traffic,
    guard,
    addresses,
    voucher: new TokenVoucher((token, address) => services().authenticator.byToken(token, address)),
    limits,
    now,
    rights: () => serving?.rights,
    onRefusal: (limit) => metrics.refusal(limit),
    isInRecovery: () => state.mode === 'recovery',
    onClosed: (session) => {
      serving?.services.authenticator.leave(session);
      if (state.mode === 'recovery') state.recovery.leave(session);
    },
  });
  const httpConnections = new HttpConnections({
    addresses,
    limits,
    onDrop: (limit) => metrics.refusal(limit),
  });

  const faces = createFaces(
    options.tls,
    (server) => httpConnections.watch(server),
    // As a message is: a thousand connections that ask at once must not keep others waiting.
    (request, work) => {
      const { key, isLocal } = addresses.clientOf(request);
      const owner = { userId: undefined, addressKey: key, isPrivileged: isLocal };
      traffic.turns.submit(traffic.accounts.of(owner), () => {
        if (!request.socket.destroyed) work();
        return Promise.resolve();
      });
    },
    (path) => transfersNow()?.awaitsUpload(path) === true,
  );
  const { app, local, tlsServers } = faces;
  const recoveryDoor = new RecoveryDoor(faces.recovery, logger);
  app.removeAllContentTypeParsers();
  // Bodies are read by whoever needs them, as streams.
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers(SECURITY_HEADERS);
    if (state.mode !== 'recovery' && addresses.isRecoverer(request.raw.socket)) {
      const { message } = recoveryOverError();
      return reply.code(503).header('Connection', 'close').send(`${message}\n`);
    }
    const isPage = request.method === 'GET' && request.url === '/';
    const refusal = guard.refusal(request.headers, isPage);
    if (refusal === undefined) return undefined;
    return reply.code(refusal.status).header('Connection', 'close').send(`${refusal.reason}\n`);
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).header('Connection', 'close').send('not found\n'),
  );

  const probe = new RedisProbe();
  const databaseId = () => (state.mode === 'serving' ? state.database.databaseId : undefined);
  serveHealth(app, () => probe.readiness(state), databaseId, options.instance);
  const scrape = sharedByTurn(async () => {
    metrics.readiness(await probe.readiness(state));
    return metrics.text();
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await scrape()),
  );
  app.all(`${API_PATH}:secret`, async (request: FastifyRequest, reply: FastifyReply) => {
    const transfers = transfersNow();
    if (state.mode === 'recovery') {
      const { isLocal, isAtRecoveryDoor } = addresses.clientOf(request.raw);
      if (!isLocal && !isAtRecoveryDoor) {
        const { message } = recoveryElsewhereError(state.recovery.url);
        return reply.code(503).header('Connection', 'close').send(`${message}\n`);
      }
    }
    if (transfers === undefined) {
      return reply.code(503).header('Connection', 'close').send('the server serves nothing now\n');
    }
    reply.hijack();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) reply.raw.setHeader(name, value);
    return transfers.handle(request.raw, reply.raw, () =>
      httpConnections.release(request.raw.socket),
    );
  });
  serveKeyRest(app, { services, methods, addresses, logger });
  serveLocalKeys(app, { services, isServing: () => serving !== undefined, addresses, logger });
  serveOpenApi(app, version);
  serveConsole(app);
  local.on('connection', (socket) => addresses.addLocal(socket));
  faces.recovery.on('connection', (socket) => addresses.addRecoverer(socket));
  // After those: they say whom a connection counts for.
  for (const server of [local, faces.recovery]) httpConnections.watch(server);
  for (const server of [app.server, local, faces.recovery]) {
    server.on('upgrade', (request, socket, head) => {
      httpConnections.release(request.socket);
      if (hasTooManyHeaders(request)) refuseTooManyHeaders(socket);
      else sockets.upgrade(request, socket, head);
    });
  }

  function setState(next: ApiState): void {
    serving?.stop();
    serving = undefined;
    if (state.mode === 'recovery') state.recovery.stop();
    state = next;
    if (next.mode !== 'recovery') {
      recoveryDoor.close();
      sockets.endRecovery();
    }
    if (next.mode === 'serving') {
      const { database, backup } = next;
      const common = { limits, logger, version, startedAtMs, now };
      const onEnd = sockets.endSession.bind(sockets);
      serving = new Serving({ ...common, database, backup, onEnd });
      serving.services.changes.listen((params) => sockets.broadcast(params));
    }
    sockets.signOutAll();
    metrics.readiness(readinessOf(next));
  }

  /** The way in over the port works without. */
  async function listenBeside(path: string): Promise<void> {
    try {
      await listenLocally(local, path);
    } catch (error) {
      if (!(error instanceof LocalSocketError)) throw error;
      logger.warn('there is no local socket', { reason: error.message });
    }
  }

  async function closeLocal(): Promise<void> {
    if (!local.listening) return;
    const closed = once(local, 'close');
    local.close();
    local.closeAllConnections();
    await closed;
  }

  return {
    app,
    metrics,
    methods,
    connections: sockets.connections,
    get state() {
      return state;
    },
    get serving() {
      return serving;
    },
    setState,
    setTls: (tls) => {
      for (const server of tlsServers) server.setSecureContext(tls);
    },
    openRecovery: async (port) => {
      const url = await recoveryDoor.open(port);
      const socket = local.listening ? [`unix:${options.localSocket}`] : [];
      return url === undefined ? socket : [url, ...socket];
    },
    listen: async () => {
      try {
        await app.listen({ host: listen.host, port: listen.port, backlog: BACKLOG });
      } catch (error) {
        throw listenError(error, listen);
      }
      if (options.localSocket !== undefined) await listenBeside(options.localSocket);
      const address = app.server.address();
      const port = typeof address === 'object' && address !== null ? address.port : listen.port;
      const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
      return `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
    },
    close: async () => {
      // Who waits for a turn to sign in would hold it up.
      serving?.services.authenticator.stop();
      await sockets.close();
      serving?.stop();
      await closeLocal();
      await recoveryDoor.stop();
      await app.close();
    },
  };
}

/** What an operator does about an address that cannot be listened at. */
function listenError(error: unknown, { host, port }: { host: string; port: number }): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    const message = `${host}:${port} is in use: a server runs there already, this one perhaps; stop it first, or give another port (--port, or listen in [http])`;
    return new Error(message, { cause: error });
  }
  if (code === 'EADDRNOTAVAIL') {
    const message = `${host} is no address of this machine: correct listen in [http]`;
    return new Error(message, { cause: error });
  }
  return error;
}
