/** The servers of the one API: those that listen at the port, at the local socket, at the port of recovery mode. */
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:https';
import { boundHeaders } from './header-count.js';
import { withoutFloods } from './pipelining.js';
import { withoutUnreadBodies } from './unread-bodies.js';

/** Time for a client that sends its headers slowly; the body has its own limit. */
const HEADERS_TIMEOUT_MS = 30_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface Faces {
  readonly app: FastifyInstance;
  /** The same API for the local socket, without TLS. */
  readonly local: Server;
  /** Those that listen with TLS: of a name such as `localhost` there are two. */
  readonly tlsServers: readonly TlsServer[];
  /** And for the port of recovery mode. */
  readonly recovery: Server;
}

/** Also those that expect what nobody knows, which Node would refuse itself, past every bound of ours: RFC 9110 lets us ignore it. */
function handleAll(server: Server, handler: RequestListener): void {
  boundHeaders(server);
  server.on('request', handler).on('checkExpectation', handler);
}

/**
 * @param watch told of each server that listens: of a name such as `localhost` there are two
 * @param inTurn does work for a request when its turn comes
 * @param isAwaited whether somebody was offered to upload to that path
 */
export function createFaces(
  tls: { readonly cert: Buffer | string; readonly key: Buffer | string } | undefined,
  watch: (server: Server) => void,
  inTurn: (request: IncomingMessage, work: () => void) => void,
  isAwaited: (path: string) => boolean,
): Faces {
  const common = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    // Node would answer those without a Host itself, past every bound of ours: the guard refuses them.
    requireHostHeader: false,
    // Off: only uploads read a body, and they have a limit of their own.
    requestTimeout: 0,
  };
  const tlsServers: TlsServer[] = [];
  const create = (): Server => (tls === undefined ? createServer(common) : createTls(tls));
  const createTls = (files: NonNullable<typeof tls>): Server => {
    const options = { ...common, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ...files };
    const server = createTlsServer(options);
    tlsServers.push(server);
    return server;
  };
  const local = createServer(common);
  const recovery = createServer(common);
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    serverFactory: (routes) => {
      const handler = withoutFloods(
        withoutUnreadBodies(
          (request, response) => inTurn(request, () => routes(request, response)),
          isAwaited,
        ),
      );
      for (const own of [local, recovery]) {
        if (own.listenerCount('request') === 0) handleAll(own, handler);
      }
      const server = create();
      handleAll(server, handler);
      watch(server);
      return server;
    },
  });
  return { app, local, tlsServers, recovery };
}
