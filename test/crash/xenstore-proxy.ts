/** A proxy on the socket of a xenstored that fails it at the n-th request. Wire format: Xen's public header io/xs_wire.h. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Stoppable } from '../harness/resources.js';

const HEADER_BYTES = 16;
const LENGTH_OFFSET = 12;
const ERROR_TYPE = 16;

/**
 * What happens to a request:
 * - `pass`: handed on;
 * - `cut`: the connection ends, the daemon never sees it;
 * - `cutReply`: the daemon executes it, the connection ends before its reply;
 * - `swallow`: nothing comes back, the connection stays;
 * - `{ errno }`: the daemon never sees it, this error comes back.
 */
export type XenstoreVerdict = 'pass' | 'cut' | 'cutReply' | 'swallow' | { readonly errno: string };

export class XenstoreProxy implements Stoppable {
  /** Asked about every request, counted from 1 since the last `reset()`; `undefined` lets all pass. */
  intercept: ((n: number) => XenstoreVerdict) | undefined;
  requests = 0;
  readonly #server: Server;
  readonly #target: string;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (client) => this.#accept(client));
  }

  static async start(target: string, listenPath: string): Promise<XenstoreProxy> {
    const server = createServer();
    server.listen(listenPath);
    await once(server, 'listening');
    return new XenstoreProxy(server, target);
  }

  /** Counts from zero again, and lets all pass. */
  reset(): void {
    this.intercept = undefined;
    this.requests = 0;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    const daemon = connect(this.#target);
    const cut = (): void => {
      client.destroy();
      daemon.destroy();
      this.#sockets.delete(client);
    };
    this.#sockets.add(client);
    for (const socket of [client, daemon]) {
      socket.on('error', () => undefined); // 'close' follows
      socket.on('close', cut);
    }
    let isReplying = true;
    daemon.on('data', (chunk: Buffer) => (isReplying ? client.write(chunk) : cut()));
    let received = Buffer.alloc(0);
    client.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let end = messageEnd(received); end !== undefined; end = messageEnd(received)) {
        const request = received.subarray(0, end);
        received = received.subarray(end);
        this.requests += 1;
        const verdict = this.intercept?.(this.requests) ?? 'pass';
        if (verdict === 'cut') cut();
        else if (typeof verdict === 'object') client.write(errorReply(request, verdict.errno));
        else if (verdict !== 'swallow') {
          isReplying = verdict === 'pass';
          daemon.write(request);
        }
      }
    });
  }
}

function messageEnd(received: Buffer): number | undefined {
  if (received.length < HEADER_BYTES) return undefined;
  const end = HEADER_BYTES + received.readUInt32LE(LENGTH_OFFSET);
  return received.length < end ? undefined : end;
}

/** The header of the request with another type and length, then the name of the error. */
function errorReply(request: Buffer, errno: string): Buffer {
  const payload = Buffer.from(`${errno}\0`);
  const header = Buffer.from(request.subarray(0, HEADER_BYTES));
  header.writeUInt32LE(ERROR_TYPE, 0);
  header.writeUInt32LE(payload.length, LENGTH_OFFSET);
  return Buffer.concat([header, payload]);
}
