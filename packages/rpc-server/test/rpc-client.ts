/** A small JSON-RPC client over a WebSocket that shows everything that comes. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Json, JsonObject } from '../src/protocol.js';

/** What the tests read of an answer or notification. */
export interface Message {
  readonly jsonrpc: string;
  readonly id?: number | string | null;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: JsonObject };
  readonly method?: string;
  readonly params?: JsonObject;
}

/** The `error` of an answer, thrown. */
export class RpcError extends Error {
  readonly code: number;
  readonly data: JsonObject | undefined;
  constructor({ code, message, data }: NonNullable<Message['error']>) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

interface PendingText {
  readonly promise: Promise<string>;
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

function pendingText(): PendingText {
  let resolve: PendingText['resolve'] = () => undefined;
  let reject: PendingText['reject'] = () => undefined;
  const promise = new Promise<string>((onText, onError) => {
    resolve = onText;
    reject = onError;
  });
  return { promise, resolve, reject };
}

export interface ClientOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Any of 127.0.0.0/8 is this machine: so a test has several addresses. */
  readonly localAddress?: string;
  /** The local Unix socket, instead of the URL. */
  readonly socketPath?: string;
}

export class RpcClient {
  readonly socket: WebSocket;
  readonly notifications: Message[] = [];
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  readonly #frames: string[] = [];
  readonly #readers: PendingText[] = [];
  #lastId = -9_007_199_254_740_991;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once('close', (code) => resolve(code));
    });
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      const message = JSON.parse(text) as Message;
      if (message.method !== undefined) {
        this.notifications.push(message);
        socket.emit('notification');
        return;
      }
      const reader = this.#readers.shift();
      if (reader === undefined) this.#frames.push(text);
      else reader.resolve(text);
    });
    socket.once('close', (code: number) => {
      for (const reader of this.#readers.splice(0)) reader.reject(new Error(`closed: ${code}`));
    });
  }

  /** @param url `http://…` */
  static async connect(url: string, options: ClientOptions = {}): Promise<RpcClient> {
    const { socketPath, ...others } = options;
    const base = socketPath === undefined ? url.replace('http', 'ws') : `ws+unix:${socketPath}:`;
    const socket = new WebSocket(`${base}/api/`, others);
    const client = new RpcClient(socket);
    await once(socket, 'open');
    return client;
  }

  /** Next frame that is no notification, as text. */
  frame(): Promise<string> {
    const waiting = this.#frames.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    const reader = pendingText();
    this.#readers.push(reader);
    if (this.socket.readyState !== this.socket.OPEN) reader.reject(new Error('not open'));
    return reader.promise;
  }

  /** Sends a text, gives the next frame. */
  async exchange(text: string): Promise<string> {
    this.socket.send(text);
    return this.frame();
  }

  /** One call at a time. @throws {RpcError} */
  async call<T = Json>(method: string, params?: unknown): Promise<T> {
    this.#lastId += 1;
    const request = { jsonrpc: '2.0', id: this.#lastId, method, params };
    const answer = JSON.parse(await this.exchange(JSON.stringify(request))) as Message;
    if (answer.id !== this.#lastId) throw new Error(`an answer to ${String(answer.id)}`);
    if (answer.error !== undefined) throw new RpcError(answer.error);
    return answer.result as T;
  }

  /** Waits until so many notifications have come. */
  async notified(count: number): Promise<readonly Message[]> {
    // oxlint-disable-next-line no-await-in-loop -- one event after another
    while (this.notifications.length < count) await once(this.socket, 'notification');
    return this.notifications;
  }

  async close(): Promise<number> {
    this.socket.close();
    return this.closed;
  }
}
