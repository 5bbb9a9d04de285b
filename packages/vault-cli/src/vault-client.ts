import {
  isJSONRPCResponse,
  JSONRPCClient,
  JSONRPCErrorException,
  type JSONRPCError,
} from 'json-rpc-2.0';
import { connect } from 'node:net';
import { WebSocket, type RawData } from 'ws';
import {
  CallRefusedError,
  ConnectionLostError,
  InterruptedError,
  MessageTooLargeError,
  ProtocolBrokenError,
} from './errors.js';
import { explainConnectFailure } from './connect-failure.js';
import { parseServerAddress, type ServerAddress } from './server-address.js';

export interface ConnectOptions {
  /** Accept any TLS certificate, for a server with one of its own making. Default false. */
  readonly allowUnauthorized?: boolean;
  /** Time for TCP, TLS and the upgrade, in milliseconds. 1 to 600 000. Default 15 000. */
  readonly connectTimeoutMs?: number;
  /** Ends the connection; calls that wait are rejected with `INTERRUPTED`. */
  readonly signal?: AbortSignal;
}

/** How to sign in: with a bearer token, or with a user name (called `email` on the wire) and password. */
export type Credentials =
  | { readonly token: string }
  | { readonly email: string; readonly password: string; readonly otp?: string };

/** Who is signed in. The server sends more; this is what every version of it has. */
export interface SignedInUser {
  readonly id?: string;
  readonly email: string;
  readonly permission?: string;
}

/** Something that the server tells without being asked. */
export interface Notification {
  readonly method: string;
  readonly params: unknown;
}

/** WebSocket status (RFC 6455 §7.4.1) of a server that did not read the message. */
const CLOSE_TOO_LARGE = 1009;
/** What a server that hangs may cost when we leave: it has this long to answer our Close. */
const CLOSE_GRACE_MS = 2000;
const DEFAULT_CONNECT_TIMEOUT_MS = 15_000;
/** Xen Orchestra's clients accept 100 MiB a message, and its servers count on it. */
const MAX_MESSAGE_BYTES = 100 * 1024 * 1024;

/**
 * One WebSocket to a `vault-server` (or another server of the same protocol), speaking JSON-RPC 2.0.
 * It neither reconnects nor repeats a call: only the caller knows whether that is safe.
 *
 * ```ts
 * const client = await VaultClient.connect('http://127.0.0.1:7400');
 * await client.signIn({ token });
 * const servers = await client.call('server.getAll');
 * await client.close();
 * ```
 */
export class VaultClient {
  readonly address: ServerAddress;
  /** Settles, and never rejects, when the connection has ended for whatever reason. */
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #rpc: JSONRPCClient;
  readonly #listeners = new Set<(notification: Notification) => void>();
  /** Calls that wait for an answer. */
  #pending = 0;
  /** Why the one call that waited was refused unread. */
  #refused: CallRefusedError | undefined;
  /** Why no call can be answered any more. */
  #ended: Error | undefined;

  private constructor(address: ServerAddress, socket: WebSocket) {
    this.address = address;
    this.#socket = socket;
    this.#rpc = new JSONRPCClient((request) => socket.send(JSON.stringify(request)));
    this.closed = new Promise((resolve) => {
      socket.once('close', (status: number) => {
        this.#end(
          status === CLOSE_TOO_LARGE
            ? new MessageTooLargeError()
            : new ConnectionLostError(`the connection was closed (WebSocket status ${status})`),
        );
        resolve();
      });
    });
    socket.on('message', (data) => this.#receive(data));
    socket.on('error', (error) => {
      this.#end(new ConnectionLostError('the connection was lost', { cause: error }));
    });
  }

  /**
   * @param url of the server, as {@link parseServerAddress} reads it; a token in it is not used here.
   * @throws UsageError for a bad URL; ServerUnreachableError; InterruptedError.
   */
  static async connect(url: string, options: ConnectOptions = {}): Promise<VaultClient> {
    const address = parseServerAddress(url);
    const connectTimeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
    if (!(connectTimeoutMs >= 1 && connectTimeoutMs <= 600_000)) {
      throw new RangeError('connectTimeoutMs: expected 1 to 600000');
    }
    const { signal } = options;
    const { socketPath } = address;
    if (signal?.aborted === true) throw new InterruptedError();
    const socket = new WebSocket(address.webSocketUrl, {
      handshakeTimeout: connectTimeoutMs,
      maxPayload: MAX_MESSAGE_BYTES,
      rejectUnauthorized: options.allowUnauthorized !== true,
      ...(socketPath !== undefined && { createConnection: () => connect(socketPath) }),
    });
    const client = new VaultClient(address, socket);
    const interrupt = () => client.#interrupt();
    signal?.addEventListener('abort', interrupt, { once: true });
    void client.closed.then(() => signal?.removeEventListener('abort', interrupt));
    await client.#opened();
    return client;
  }

  /** Signs this connection in; the last sign-in wins. Listeners already see what comes right behind. */
  async signIn(credentials: Credentials): Promise<SignedInUser> {
    const user = await this.call('session.signIn', { ...credentials });
    if (typeof user !== 'object' || user === null || !('email' in user)) {
      throw new ProtocolBrokenError('the answer to session.signIn is not a user');
    }
    return user as SignedInUser;
  }

  /**
   * Calls a method and waits for its answer, without a time limit: migrations and imports are long.
   *
   * @throws CallRefusedError with the server's error; ConnectionLostError; InterruptedError.
   */
  async call(method: string, params?: Readonly<Record<string, unknown>>): Promise<unknown> {
    this.#throwIfEnded();
    this.#pending += 1;
    try {
      return await (this.#rpc.request(method, params) as PromiseLike<unknown>);
    } catch (error) {
      this.#throwIfEnded();
      const refused = this.#refused;
      this.#refused = undefined;
      if (refused !== undefined) throw refused;
      if (error instanceof JSONRPCErrorException) {
        throw new CallRefusedError(error.code, error.message, error.data as unknown);
      }
      throw error;
    } finally {
      this.#pending -= 1;
    }
  }

  /** @returns what stops the listening. */
  onNotification(listener: (notification: Notification) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Leaves with a Close frame. A server that does not answer it is not waited for long. */
  async close(): Promise<void> {
    this.#socket.close();
    const impatience = setTimeout(() => this.#socket.terminate(), CLOSE_GRACE_MS);
    await this.closed;
    clearTimeout(impatience);
  }

  #opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once('open', () => resolve());
      this.#socket.once('error', (error) => {
        const isInterrupted = this.#ended instanceof InterruptedError;
        reject(isInterrupted ? this.#ended : explainConnectFailure(this.address, error));
      });
    });
  }

  #interrupt(): void {
    this.#end(new InterruptedError());
    this.#socket.terminate();
  }

  #throwIfEnded(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  /** The first reason stays: what follows is only its consequence. */
  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#rpc.rejectAllPendingRequests(reason.message);
  }

  /** A message that the server did not parse is refused without an id: nothing else would end its call. */
  #refuse({ code, message, data }: JSONRPCError): void {
    if (this.#pending === 1) {
      this.#refused = new CallRefusedError(code, message, data as unknown);
      this.#rpc.rejectAllPendingRequests(message);
      return;
    }
    this.#end(new ProtocolBrokenError(`the server did not say what it refused: ${message}`));
    this.#socket.terminate();
  }

  #receive(data: RawData): void {
    const message = parseMessage(data);
    for (const item of Array.isArray(message) ? (message as unknown[]) : [message]) {
      if (typeof item === 'object' && item !== null && isJSONRPCResponse(item)) {
        if (item.id === null && item.error !== undefined) this.#refuse(item.error);
        else this.#rpc.receive(item);
      } else if (isNotification(item)) {
        const notification = { method: item.method, params: item.params };
        for (const listener of this.#listeners) listener(notification);
      } else {
        this.#end(new ProtocolBrokenError('the server sent something that is not JSON-RPC 2.0'));
        this.#socket.terminate();
        return;
      }
    }
  }
}

/** `undefined`, which is no JSON value, when the message is not JSON. */
function parseMessage(data: RawData): unknown {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Requests of the server (with an id) are taken for notifications: no server of this protocol sends them. */
function isNotification(item: unknown): item is { method: string; params?: unknown } {
  return (
    typeof item === 'object' && item !== null && 'method' in item && typeof item.method === 'string'
  );
}
