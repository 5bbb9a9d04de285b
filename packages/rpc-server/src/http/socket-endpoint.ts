/** The upgrade at `/api/`, and all open WebSockets. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import type { Limits } from '../limits.js';
import { API_PATH } from '../protocol.js';
import type { Notifications } from '../protocol.js';
import { Connection } from '../rpc/connection.js';
import type { ConnectionOptions } from '../rpc/connection.js';
import type { Dispatcher } from '../rpc/dispatcher.js';
import type { RightsWatch } from '../session/rights-watch.js';
import type { Session } from '../session/session.js';
import { isForwarded } from './forwarding.js';
import type { RequestGuard } from './request-guard.js';

export interface SocketEndpointOptions {
  readonly dispatcher: Dispatcher;
  readonly guard: RequestGuard;
  readonly limits: Limits;
  readonly now: () => number;
  /** Who rechecks rights while a database is served. */
  readonly rights: () => RightsWatch | undefined;
}

/** Who is at the other end of the TCP connection, and whether for somebody else. */
type Peer = Pick<ConnectionOptions, 'address' | 'isForwarded'>;

const REASONS = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  421: 'Misdirected Request',
  503: 'Service Unavailable',
} as const;
/** How long calls under way and the clients' answers to our Close may take at shutdown. */
const CLOSE_TIMEOUT_MS = 10_000;

function refuse(socket: Duplex, status: keyof typeof REASONS): void {
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
  );
}

export class SocketEndpoint {
  readonly #options: SocketEndpointOptions;
  readonly #connections = new Set<Connection>();
  readonly #server: WebSocketServer;

  constructor(options: SocketEndpointOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: options.limits.messageBeforeSignInBytes,
      // Off: a small compressed frame could hold a large message, and secrets beside chosen text
      // must not be compressed together.
      perMessageDeflate: false,
    });
  }

  get size(): number {
    return this.#connections.size;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A client that goes away during the upgrade must not end the process.
    socket.on('error', () => socket.destroy());
    const refusal = this.#options.guard.refusal(request.headers, false);
    if (refusal !== undefined) return refuse(socket, refusal.status);
    if (request.url !== API_PATH) return refuse(socket, 404);
    if (this.#connections.size >= this.#options.limits.sockets && !this.#makeRoom()) {
      return refuse(socket, 503);
    }
    const peer = {
      address: request.socket.remoteAddress ?? 'unknown',
      isForwarded: isForwarded(request.headers),
    };
    this.#server.handleUpgrade(request, socket, head, (webSocket) =>
      this.#accept(webSocket, socket, peer),
    );
    return undefined;
  }

  broadcast(params: Notifications['all']): void {
    for (const connection of this.#connections) {
      if (connection.canRead) connection.notify('all', params);
    }
  }

  endSession(session: Session): void {
    for (const connection of this.#connections) {
      if (connection.session === session) connection.endSession();
    }
  }

  /** The identities came from a database that is not served any more. */
  signOutAll(): void {
    for (const { session } of this.#connections) {
      if (session.identity !== undefined) session.signOut();
    }
  }

  /** Lets calls under way finish, then closes all. */
  async close(): Promise<void> {
    const open = [...this.#connections];
    const closed = Promise.all(open.map((connection) => connection.close()));
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([closed, waited]);
    clearTimeout(timer);
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }

  /**
   * Drops who has been here longest without signing in: strangers that open sockets and say nothing
   * keep nobody out. @returns `false` where all are signed in
   */
  #makeRoom(): boolean {
    for (const connection of this.#connections) {
      if (connection.session.identity !== undefined) continue;
      this.#connections.delete(connection);
      connection.drop();
      return true;
    }
    return false;
  }

  #accept(socket: WebSocket, stream: Duplex, peer: Peer): void {
    const { dispatcher, limits, now, rights } = this.#options;
    const connection = new Connection({
      socket,
      stream,
      ...peer,
      dispatcher,
      limits,
      now,
      onSessionChange: ({ session }) => {
        if (session.identity === undefined) rights()?.delete(session);
        else rights()?.add(session);
      },
    });
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      rights()?.delete(connection.session);
    });
  }
}
