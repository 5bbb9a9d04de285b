import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { RespFrames, parseRequest } from './resp-frames.js';
import type { Stoppable } from './resources.js';

/** One request or reply that passes the proxy. Both are counted from 1, over all connections. */
export interface Passage {
  readonly direction: 'request' | 'reply';
  /** The n-th of its direction since the proxy started, or since `reset()`. */
  readonly n: number;
  /** Of a request: the command's name in upper case. Of a reply: `''`. */
  readonly command: string;
  readonly frame: Buffer;
}

/**
 * What happens to it:
 * - `pass`: handed on;
 * - `cut`: the connection ends instead (a cut request was never executed, a cut reply was executed unseen);
 * - `cutInside`: the first half of its bytes is handed on, then the connection ends;
 * - `swallow`: neither it nor anything after it in its direction is handed on; the connection stays open;
 * - `{ delayMs }`: handed on later; what follows waits behind it;
 * - `{ instead }`: these bytes are handed on in its place.
 */
export type Verdict =
  | 'pass'
  | 'cut'
  | 'cutInside'
  | 'swallow'
  | { readonly delayMs: number }
  | { readonly instead: Buffer };

/** Decides on each passage; may first do something itself, such as kill the server or Redis. */
export type Interceptor = (passage: Passage) => Verdict | Promise<Verdict>;

export interface TcpProxyOptions {
  /** Where the real Redis listens. */
  readonly target: { readonly path: string } | { readonly host: string; readonly port: number };
  /** Unix socket to listen on; default: a free TCP port of 127.0.0.1. */
  readonly listenPath?: string;
}

/** A proxy between clients and a Redis without TLS that understands where requests and replies end. */
export class TcpProxy implements Stoppable {
  /** Set when it listens on TCP. */
  readonly port: number | undefined;
  readonly path: string | undefined;
  /** Asked about every passage; `undefined` lets all pass. */
  intercept: Interceptor | undefined;
  requests = 0;
  replies = 0;
  requestBytes = 0;
  replyBytes = 0;
  readonly #server: Server;
  readonly #target: TcpProxyOptions['target'];
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, options: TcpProxyOptions) {
    this.#server = server;
    this.#target = options.target;
    const address = server.address();
    this.path = options.listenPath;
    this.port = address !== null && typeof address === 'object' ? address.port : undefined;
    server.on('connection', (client) => this.#accept(client));
  }

  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const server = createServer();
    if (options.listenPath === undefined) server.listen(0, '127.0.0.1');
    else server.listen(options.listenPath);
    await once(server, 'listening');
    return new TcpProxy(server, options);
  }

  /** What ioredis takes as its first argument. */
  get url(): string {
    return this.path ?? `redis://127.0.0.1:${this.port}/0`;
  }

  /** Counts from zero again, and lets all pass. */
  reset(): void {
    this.intercept = undefined;
    this.requests = 0;
    this.replies = 0;
    this.requestBytes = 0;
    this.replyBytes = 0;
  }

  /** Ends every connection now; new ones are taken. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
  }

  #accept(client: Socket): void {
    const redis = connect(this.#target as { path: string });
    for (const socket of [client, redis]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined); // 'close' follows
    }
    const cut = (): void => {
      client.destroy();
      redis.destroy();
      this.#sockets.delete(client);
      this.#sockets.delete(redis);
    };
    client.on('close', cut);
    redis.on('close', cut);
    this.#forward('request', client, redis, cut);
    this.#forward('reply', redis, client, cut);
  }

  #forward(direction: Passage['direction'], from: Socket, to: Socket, cut: () => void): void {
    const frames = new RespFrames();
    let isSwallowing = false;
    let tail = Promise.resolve(); // one passage after the other, whatever the interceptor waits for
    from.on('data', (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) {
        tail = tail.then(async () => {
          if (isSwallowing || from.destroyed) return;
          const verdict = await this.#judge(direction, frame);
          // Behind half a frame nothing may follow: Redis would make other commands of the two.
          if (verdict === 'swallow' || verdict === 'cutInside') isSwallowing = true;
          if (verdict === 'swallow') return;
          if (verdict === 'cut') cut();
          else if (verdict === 'cutInside') to.write(frame.subarray(0, frame.length >> 1), cut);
          else {
            if (verdict !== 'pass' && 'delayMs' in verdict) await delay(verdict.delayMs);
            const bytes = verdict !== 'pass' && 'instead' in verdict ? verdict.instead : frame;
            if (!to.destroyed) to.write(bytes);
          }
        });
      }
    });
  }

  async #judge(direction: Passage['direction'], frame: Buffer): Promise<Verdict> {
    let n: number;
    let command = '';
    if (direction === 'request') {
      n = this.requests += 1;
      this.requestBytes += frame.length;
      command = parseRequest(frame)[0]?.toString('latin1').toUpperCase() ?? '';
    } else {
      n = this.replies += 1;
      this.replyBytes += frame.length;
    }
    return (await this.intercept?.({ direction, n, command, frame })) ?? 'pass';
  }
}
