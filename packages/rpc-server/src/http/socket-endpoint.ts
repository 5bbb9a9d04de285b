/** The upgrade at `/api/`, and all open WebSockets. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import type { Client, ClientAddresses } from '../admission/client-address.js';
import { ConnectionRegistry } from '../admission/connection-registry.js';
import type { Traffic } from '../admission/traffic.js';
import type { TokenVoucher } from '../admission/token-voucher.js';
import type { LimitName, Limits } from '../limits.js';
import { API_PATH } from '../protocol.js';
import type { Notifications } from '../protocol.js';
import { Connection, notificationBytes } from '../rpc/connection.js';
import { viewOf, visibleTo } from '../rpc/change-feed.js';
import type { Dispatcher } from '../rpc/dispatcher.js';
import type { RightsWatch } from '../session/rights-watch.js';
import { credentialOf } from '../session/session.js';
import type { Identity, Session } from '../session/session.js';
import { recoveryOverError } from './api-state.js';
import type { RequestGuard } from './request-guard.js';

export interface SocketEndpointOptions {
  readonly dispatcher: Dispatcher;
  readonly traffic: Traffic;
  readonly guard: RequestGuard;
  readonly addresses: ClientAddresses;
  readonly voucher: TokenVoucher;
  readonly limits: Limits;
  readonly now: () => number;
  /** Who rechecks rights while a database is served. */
  readonly rights: () => RightsWatch | undefined;
  /** Whether recovery mode lasts, which alone has a port of its own. */
  readonly isInRecovery: () => boolean;
  /** Told of each socket that a limit kept out or ended. */
  readonly onRefusal: (limit: LimitName) => void;
  /** Told of a session whose connection is closed. */
  readonly onClosed: (session: Session) => void;
}

const REASONS = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  421: 'Misdirected Request',
  503: 'Service Unavailable',
} as const;
/** How long calls under way and the clients' answers to our Close may take at shutdown. */
const CLOSE_TIMEOUT_MS = 10_000;

/** Pieces that one message may come in: 2 MiB in packets of 1 400 bytes are 1 500. */
const PIECES_MAX = 8192;
/** How often deadlines are looked at. */
const SWEEP_MS = 1000;

function sweepMs({ unfinishedMessageMs, unreadAnswerMs }: Limits): number {
  return Math.min(SWEEP_MS, unfinishedMessageMs / 2, unreadAnswerMs / 2);
}

/** For client and operator: what to change. */
function limitText(name: LimitName, limits: Limits): string {
  return `limits.${name} is ${limits[name]}`;
}

function refuse(socket: Duplex, status: keyof typeof REASONS, why = ''): void {
  const body = why === '' ? '' : `${why}\n`;
  // Not left half open: a client that keeps its end would hold a descriptor that no limit counts.
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

export class SocketEndpoint {
  readonly #options: SocketEndpointOptions;
  readonly connections = new ConnectionRegistry<Connection>();
  readonly #server: WebSocketServer;
  /** Upgrades that wait for their turn, by address. */
  readonly #arriving = new Map<string, number>();
  #arrivingCount = 0;
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: SocketEndpointOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: options.limits.messageBeforeSignInBytes,
      // Off: a small compressed frame could hold a large message, and secrets beside chosen text
      // must not be compressed together.
      perMessageDeflate: false,
      maxBufferedChunks: PIECES_MAX,
      maxFragments: PIECES_MAX,
    });
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs(options.limits));
    this.#sweeper.unref();
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A client that goes away during the upgrade must not end the process.
    socket.on('error', () => socket.destroy());
    const { guard, addresses, voucher } = this.#options;
    const refusal = guard.refusal(request.headers, false);
    if (refusal !== undefined) return refuse(socket, refusal.status);
    if (request.url !== API_PATH) return refuse(socket, 404);
    const client = addresses.clientOf(request);
    const asked = voucher.ask(request.headers, client);
    if (asked === undefined) return this.#admitInTurn(request, socket, head, client, undefined);
    void asked.then((vouched) => this.#admitInTurn(request, socket, head, client, vouched));
    return undefined;
  }

  broadcast(params: Notifications['all']): void {
    // Written once for all who see the same: for each socket again, a large one would keep everybody waiting.
    const written = new Map<string, Buffer | undefined>();
    for (const connection of this.connections) {
      const { identity } = connection.session;
      if (!connection.canRead) continue;
      const view = viewOf(identity);
      if (!written.has(view)) {
        const seen = visibleTo(identity, params);
        written.set(view, seen && notificationBytes('all', seen));
      }
      const bytes = written.get(view);
      if (bytes !== undefined) connection.send(bytes);
    }
  }

  endSession(session: Session): void {
    for (const connection of this.connections) {
      if (connection.session === session) connection.endSession();
    }
  }

  /** The identities came from a database that is not served any more. */
  signOutAll(): void {
    for (const { session, voucher } of this.connections) {
      for (const each of [session, voucher]) if (each.identity !== undefined) each.signOut();
    }
  }

  /** The port of recovery mode is closed: what came in by it goes, too. */
  endRecovery(): void {
    for (const connection of this.connections) {
      if (connection.isAtRecoveryDoor) connection.end(recoveryOverError().message);
    }
  }

  /** Lets calls under way finish, then closes all. */
  async close(): Promise<void> {
    const open = [...this.connections];
    const closed = Promise.all(open.map((connection) => connection.close()));
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([closed, waited]);
    clearTimeout(timer);
    clearInterval(this.#sweeper);
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }

  #sweep(): void {
    const { traffic, onRefusal } = this.#options;
    const nowMs = performance.now();
    for (const connection of this.connections) {
      const limit = connection.checkDeadlines(nowMs);
      if (limit !== undefined) onRefusal(limit);
    }
    traffic.accounts.prune();
  }

  /** An upgrade is work like a message: a thousand at once must not keep others waiting. */
  #admitInTurn(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    client: Client,
    vouched: Identity | undefined,
  ): void {
    const { traffic } = this.#options;
    const isPrivileged = client.isLocal || vouched?.permission === 'admin';
    const full = isPrivileged ? undefined : this.#arrivalsFullLimit(client);
    if (full !== undefined) return this.#refuseFull(socket, full);
    const account = traffic.accounts.of({
      userId: vouched?.userId,
      addressKey: client.key,
      isPrivileged,
    });
    this.#noteArrival(client.key, 1);
    const admit = (): Promise<void> => {
      this.#noteArrival(client.key, -1);
      this.#admit(request, socket, head, client, vouched);
      return Promise.resolve();
    };
    traffic.turns.submit(account, admit, vouched && credentialOf(vouched));
    return undefined;
  }

  /** Those that wait hold a descriptor each, like those that are open. */
  #arrivalsFullLimit({ key }: Client): 'sockets' | 'socketsPerAddress' | undefined {
    const { limits } = this.#options;
    if ((this.#arriving.get(key) ?? 0) >= limits.socketsPerAddress) return 'socketsPerAddress';
    return this.#arrivingCount >= limits.sockets ? 'sockets' : undefined;
  }

  #noteArrival(key: string, delta: number): void {
    const count = (this.#arriving.get(key) ?? 0) + delta;
    if (count === 0) this.#arriving.delete(key);
    else this.#arriving.set(key, count);
    this.#arrivingCount += delta;
  }

  #refuseFull(socket: Duplex, full: 'sockets' | 'socketsPerAddress'): void {
    this.#options.onRefusal(full);
    refuse(socket, 503, `no room for another socket: ${limitText(full, this.#options.limits)}`);
  }

  #admit(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    client: Client,
    vouched: Identity | undefined,
  ): void {
    if (client.isAtRecoveryDoor && !this.#options.isInRecovery()) {
      refuse(socket, 503, recoveryOverError().message);
      return;
    }
    const full = this.#fullLimit(client, vouched);
    if (full !== undefined) {
      this.#refuseFull(socket, full);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) =>
      this.#accept(webSocket, socket, client, vouched),
    );
  }

  /**
   * Makes room where there is none. Who came over the local socket needs none; an administrator who
   * shows a token takes that of a stranger, else of the user who has most.
   * @returns the limit that keeps the client out
   */
  #fullLimit(
    { key, isLocal }: Client,
    vouched: Identity | undefined,
  ): 'sockets' | 'socketsPerAddress' | undefined {
    if (isLocal) return undefined;
    const { connections } = this;
    const { limits } = this.#options;
    const isAdministrator = vouched?.permission === 'admin';
    if (!isAdministrator && connections.countOfAddress(key) >= limits.socketsPerAddress) {
      const why = `a newer socket of this address: ${limitText('socketsPerAddress', limits)}`;
      if (!connections.dropStrangerOf(key, why)) return 'socketsPerAddress';
      this.#options.onRefusal('socketsPerAddress');
    }
    if (connections.size < limits.sockets) return undefined;
    const why = `a newer socket: ${limitText('sockets', limits)}`;
    const isDropped =
      connections.dropStranger(why) || (isAdministrator && connections.dropForAdministrator(why));
    if (!isDropped) return 'sockets';
    this.#options.onRefusal('sockets');
    return undefined;
  }

  #accept(socket: WebSocket, stream: Duplex, client: Client, vouched: Identity | undefined): void {
    const { dispatcher, traffic, limits, now, rights } = this.#options;
    const connection = new Connection({
      socket,
      stream,
      client,
      vouched,
      dispatcher,
      traffic,
      limits,
      now,
      onSessionChange: (changed) => {
        this.#watchRights(changed);
        this.connections.update(changed);
        this.#boundUser(changed);
      },
    });
    this.connections.add(connection);
    this.#watchRights(connection);
    this.#boundUser(connection);
    socket.once('close', () => {
      this.connections.delete(connection);
      rights()?.delete(connection.session);
      rights()?.delete(connection.voucher);
      this.#options.onClosed(connection.session);
    });
  }

  #watchRights({ session, voucher }: Connection): void {
    const rights = this.#options.rights();
    for (const each of [session, voucher]) {
      if (each.identity === undefined) rights?.delete(each);
      else rights?.add(each);
    }
  }

  /** A user who has too many sockets loses one of the credential with most: neither a leak nor a stolen token locks anybody out. */
  #boundUser(connection: Connection): void {
    const { userId } = connection;
    const { limits, onRefusal } = this.#options;
    if (userId === undefined || connection.isLocal) return;
    if (this.connections.countOfUser(userId) <= limits.socketsPerUser) return;
    const why = `a newer socket of this user: ${limitText('socketsPerUser', limits)}`;
    if (this.connections.dropIdlestOf(userId, why, connection)) onRefusal('socketsPerUser');
  }
}
