/**
 * TCP connections that are no WebSocket yet: those that send their headers slowly, that keep alive,
 * that were opened and say nothing. For one too many the oldest gives way, of the address that has
 * most; one that moves a file does not.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Limits } from '../limits.js';
import type { ClientAddresses } from './client-address.js';
import { addressKey, LOCAL_ADDRESS } from './client-address.js';
import { Groups } from './groups.js';

interface Held {
  readonly key: string;
  readonly socket: Socket;
}

export interface HttpConnectionsOptions {
  readonly addresses: ClientAddresses;
  readonly limits: Pick<Limits, 'httpConnections' | 'httpConnectionsPerAddress'>;
  /** Told of each that gave way. */
  readonly onDrop: (limit: 'httpConnections' | 'httpConnectionsPerAddress') => void;
}

/**
 * Under TLS the socket of a request is another object than that of the connection; the address and port
 * of the peer name both. One of the local socket, which has neither, is its own name: there is no TLS.
 */
type Endpoint = string | Socket;

/** All who come to the port of recovery mode: a user of this machine has all of 127.0.0.0/8. */
const RECOVERERS = 'recovery';

export class HttpConnections {
  readonly #options: HttpConnectionsOptions;
  readonly #held = new Map<Endpoint, Held>();
  readonly #byAddress = new Groups<Held>();

  constructor(options: HttpConnectionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => this.#add(socket));
  }

  /**
   * It is a WebSocket now, or moves a file: it has limits of its own.
   * @returns how to count it again
   */
  release(socket: Socket): () => void {
    const endpoint = this.#endpointOf(socket);
    const held = endpoint === undefined ? undefined : this.#held.get(endpoint);
    if (endpoint === undefined || held === undefined) return () => undefined;
    this.#delete(endpoint, held);
    return () => {
      if (!held.socket.destroyed) this.#keep(endpoint, held);
    };
  }

  #add(socket: Socket): void {
    const endpoint = this.#endpointOf(socket);
    if (endpoint === undefined) {
      socket.destroy();
      return;
    }
    const { addresses, limits, onDrop } = this.#options;
    const peer = addresses.peerOf(socket);
    const key = this.#keyOf(socket, peer);
    const isOver = this.#byAddress.get(key).size >= limits.httpConnectionsPerAddress;
    if (isOver && (key !== addressKey(peer) || !addresses.isTrustedProxy(peer))) {
      this.#dropOldest(this.#byAddress.get(key));
      onDrop('httpConnectionsPerAddress');
    } else if (this.#held.size >= limits.httpConnections) {
      this.#dropOldest(this.#byAddress.largest());
      onDrop('httpConnections');
    }
    const held = { key, socket };
    this.#keep(endpoint, held);
    socket.once('close', () => this.#delete(endpoint, held));
  }

  #endpointOf(socket: Socket): Endpoint | undefined {
    const { remoteAddress, remotePort } = socket;
    if (remotePort !== undefined) return `${remoteAddress} ${remotePort}`;
    return this.#options.addresses.isLocal(socket) ? socket : undefined;
  }

  #keyOf(socket: Socket, peer: string): string {
    const { addresses } = this.#options;
    if (addresses.isLocal(socket)) return LOCAL_ADDRESS;
    return addresses.isRecoverer(socket) ? RECOVERERS : addressKey(peer);
  }

  #keep(endpoint: Endpoint, held: Held): void {
    this.#held.set(endpoint, held);
    this.#byAddress.add(held.key, held);
  }

  #dropOldest(group: ReadonlySet<Held>): void {
    const [oldest] = group;
    if (oldest === undefined) return;
    this.release(oldest.socket);
    oldest.socket.destroy();
  }

  #delete(endpoint: Endpoint, held: Held): void {
    if (this.#held.get(endpoint) === held) this.#held.delete(endpoint);
    this.#byAddress.delete(held.key, held);
  }
}
