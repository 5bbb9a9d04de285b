import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Stoppable } from '../../../../test/harness/resources.js';

/** An error as it goes over the wire. */
export class WireError extends Error {
  readonly code: number;
  readonly data: unknown;
  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export interface Call {
  readonly method: string;
  readonly params: Record<string, unknown> | undefined;
  /** Sends a notification to the caller. */
  notify(method: string, params: unknown): void;
  /** Cuts the connection without a Close frame. */
  cut(): void;
}

/** More than two values of 1 MiB. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

type Handler = (call: Call) => unknown;
type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

export const TOKEN = 'JNq2lLj8NYTtBAJziCHRVTu0Qb-MRenuy7GeLN171TI';
export const USER = { id: '7', email: 'admin', permission: 'admin', groups: [], preferences: {} };
export const PASSWORD = 'correct horse';

/** A server of the protocol in a few lines, which a test makes misbehave as it likes. */
export class FakeServer implements Stoppable {
  readonly url: string;
  /** All calls that came, in order. */
  readonly calls: { method: string; params: unknown }[] = [];
  readonly methods: Record<string, Handler> = {
    'session.signIn': ({ params }) => {
      const isKnown =
        params?.['token'] === TOKEN ||
        (params?.['email'] === 'admin' && params['password'] === PASSWORD);
      if (!isKnown) throw new WireError(3, 'invalid credentials');
      return USER;
    },
    'token.create': () => TOKEN,
  };
  /** By path, for one-time URLs. */
  readonly pages: Record<string, HttpHandler> = {};
  readonly #http: Server;
  readonly #arrivals = new EventEmitter();
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });

  private constructor(http: Server, scheme: string) {
    this.#http = http;
    const at = http.address();
    this.url =
      typeof at === 'string' ? `unix:${at}` : `${scheme}://127.0.0.1:${(at as AddressInfo).port}`;
    http.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const page = this.pages[request.url ?? ''];
      if (page === undefined) response.writeHead(404, { connection: 'close' }).end('no such page');
      else page(request, response);
    });
    http.on('upgrade', (request: IncomingMessage, socket, head) => {
      if (request.url !== '/api/') {
        socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#serve(webSocket));
    });
  }

  /** @param tls certificate and key: the server then speaks TLS. */
  static async start(tls?: { readonly cert: Buffer; readonly key: Buffer }): Promise<FakeServer> {
    const http: Server = tls === undefined ? createServer() : createTlsServer(tls);
    await new Promise<void>((resolve) => {
      http.listen(0, '127.0.0.1', resolve);
    });
    return new FakeServer(http, tls === undefined ? 'http' : 'https');
  }

  /** On a Unix socket. */
  static async startAt(path: string): Promise<FakeServer> {
    const http = createServer();
    await new Promise<void>((resolve) => {
      http.listen(path, resolve);
    });
    return new FakeServer(http, 'unix');
  }

  /** Names of the methods that were called. */
  get calledMethods(): string[] {
    return this.calls.map((call) => call.method);
  }

  /** Parameters of the last call of a method. */
  paramsOf(method: string): unknown {
    return this.calls.findLast((call) => call.method === method)?.params;
  }

  async waitForCall(method: string): Promise<void> {
    while (!this.calledMethods.includes(method)) {
      // oxlint-disable-next-line no-await-in-loop -- one call after the other
      await once(this.#arrivals, 'call');
    }
  }

  /** To every client. */
  broadcast(text: string): void {
    for (const client of this.#sockets.clients) client.send(text);
  }

  closeClients(): void {
    for (const client of this.#sockets.clients) client.close();
  }

  async stop(): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    this.#http.closeAllConnections();
    await new Promise((resolve) => {
      this.#http.close(resolve);
    });
  }

  #serve(socket: WebSocket): void {
    // A message that is too large: the client is told by the Close.
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      void this.#answer(socket, JSON.parse(data.toString('utf8')) as IncomingCall);
    });
  }

  async #answer(socket: WebSocket, { id, method, params }: IncomingCall): Promise<void> {
    this.calls.push({ method, params });
    this.#arrivals.emit('call');
    const send = (body: object) => socket.send(JSON.stringify({ jsonrpc: '2.0', ...body }));
    const handler = this.methods[method];
    try {
      if (handler === undefined) throw new WireError(-32601, `method not found: ${method}`, method);
      const result = await handler({
        method,
        params,
        notify: (name, about) => send({ method: name, params: about }),
        cut: () => socket.terminate(),
      });
      send({ id, result });
    } catch (error) {
      const { code, message, data } = error as WireError;
      send({ id, error: { code, message, data } });
    }
  }
}

interface IncomingCall {
  readonly id: number;
  readonly method: string;
  readonly params?: Record<string, unknown>;
}
