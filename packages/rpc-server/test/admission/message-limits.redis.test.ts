/** What a message may cost, and how long a client may let the server wait. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { RECORD_LIMITS } from '@vault/redis-store';
import { ApiFixture } from '../api-fixture.js';
import type { FixtureOptions } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture | undefined;
afterEach(async () => {
  await fixture?.stop();
  fixture = undefined;
});

async function start(limits: FixtureOptions['limits'] = {}): Promise<ApiFixture> {
  fixture = await ApiFixture.start({ limits });
  return fixture;
}

async function reasonOf({ socket }: RpcClient): Promise<string> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return `${code} ${reason.toString()}`;
}

/** The beginning of a text frame of so many bytes, masked with zeros. */
function frameHead(bytes: number): Buffer {
  const head = Buffer.alloc(14);
  head.writeUInt16BE(0x81_ff);
  head.writeBigUInt64BE(BigInt(bytes), 2);
  return head;
}

/** What is written below the WebSocket. */
function raw(client: RpcClient, bytes: Buffer): void {
  const { _socket: stream } = client.socket as unknown as { _socket: ReturnType<typeof connect> };
  stream.write(bytes);
}

async function metric(api: ApiFixture, name: string): Promise<number> {
  const text = await (await fetch(`${api.url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1] ?? 0,
  );
}

function call(params: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.getUser', params });
}

describe('a message', () => {
  test('of too many values is refused before it is parsed, and says which limit', async () => {
    const api = await start();
    const user = await api.signIn();
    const many = `{"jsonrpc":"2.0","id":1,"method":"x","params":{"x":[${'[],'.repeat(600_000)}`;
    expect(JSON.parse(await user.exchange(`${many}1]}}`))).toMatchObject({
      id: null,
      error: { code: -32600, message: 'a message has at most 32768 values: limits.messageValues' },
    });
  });

  test('that is nested too deeply is refused', async () => {
    const api = await start();
    const user = await api.signIn();
    const deep = `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`;
    expect(JSON.parse(await user.exchange(deep))).toMatchObject({ error: { code: -32600 } });
  });

  test('of a stranger may have fewer values', async () => {
    const api = await start();
    const stranger = await api.connect();
    const text = `[${'1,'.repeat(2000)}1]`;
    expect(JSON.parse(await stranger.exchange(text))).toMatchObject({
      error: {
        message: 'a message has at most 1000 values: limits.messageValuesBeforeSignIn',
      },
    });
  });

  test('may hold the largest record, as a call and in a batch', async () => {
    const api = await start();
    const admin = await api.signIn();
    let deep: unknown = 'x';
    for (let i = 0; i < RECORD_LIMITS.depth; i++) deep = i % 2 === 0 ? [deep] : { deep };
    const many = Array.from({ length: RECORD_LIMITS.values - 200 }, () => 0);
    const text = 'x'.repeat(RECORD_LIMITS.bytes - 60_000);
    for (const value of [deep, many, text, '"'.repeat(RECORD_LIMITS.bytes / 2 - 100)]) {
      // oxlint-disable-next-line no-await-in-loop -- one large message at a time
      expect(await admin.call('secret.add', { name: `n${Math.random()}`, value })).toEqual(
        expect.any(String),
      );
      const params = { name: `n${Math.random()}`, value };
      const batch = [{ jsonrpc: '2.0', id: 1, method: 'secret.add', params }];
      // oxlint-disable-next-line no-await-in-loop -- one large message at a time
      expect(JSON.parse(await admin.exchange(JSON.stringify(batch)))).toMatchObject([
        { id: 1, result: expect.any(String) },
      ]);
    }
  });

  test('is at most 2 MiB, whatever a user sends', async () => {
    const api = await start();
    const user = await api.userWith('none');
    user.socket.send('x'.repeat(2 * 1024 * 1024 + 1));
    expect(await user.closed).toBe(1009);
  });
});

describe('an error', () => {
  test.each<[string, string]>([
    ['an unknown method', JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x'.repeat(1_000_000) })],
    ['an unknown parameter', call({ ['x'.repeat(1_000_000)]: 1 })],
    [
      'twenty thousand unknown parameters',
      call(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, 0]))),
    ],
    [
      'an id that nobody has',
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'server.get',
        params: { id: 'x'.repeat(100_000) },
      }),
    ],
    [
      'an endless id of the request',
      JSON.stringify({ jsonrpc: '2.0', id: 'x'.repeat(1_000_000), method: 'session.getUser' }),
    ],
  ])('for %s is short', async (_, message) => {
    const api = await start();
    const admin = await api.signIn();
    const answer = await admin.exchange(message);
    expect(JSON.parse(answer)).toHaveProperty('error');
    expect(answer.length).toBeLessThan(5000);
  });
});

describe('messages in one chunk', () => {
  const framed = (text: string, count: number): Buffer => {
    const payload = Buffer.from(text);
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
    return Buffer.concat(Array.from({ length: count }, () => frame));
  };

  test('are all answered, however many calls', async () => {
    const api = await start();
    const user = await api.signIn();
    raw(user, framed('{"jsonrpc":"2.0","id":1,"method":"session.getUser"}', 5000));
    for (let i = 0; i < 5000; i++) {
      // oxlint-disable-next-line no-await-in-loop -- frames follow each other
      expect(await user.frame()).toContain('"result"');
    }
  });
});

describe('frames that are no message', () => {
  /** A masked frame without a payload. */
  const empty = (head: number, count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => Buffer.from([head, 0x80, 0, 0, 0, 0])));
  const PING = 0x89;
  const PONG = 0x8a;
  const FIRST_PIECE = 0x01;
  const NEXT_PIECE = 0x00;

  test.each([
    ['pongs that nobody asked for', PONG],
    ['pings', PING],
  ])('of 60 %s at once none ends a socket, more do', async (_, head) => {
    const api = await start();
    const quiet = await api.connect();
    raw(quiet, empty(head, 60));
    expect(await quiet.call('session.getUser')).toBeNull();
    const loud = await api.connect();
    const reason = reasonOf(loud);
    raw(loud, empty(head, 1000));
    expect(await reason).toMatch(/^1013 too many pings or pongs/);
  });

  test('nonsense that comes while the server stops does not keep it from that', async () => {
    const api = await start();
    const client = await api.connect();
    const stopped = api.stop();
    fixture = undefined;
    raw(client, empty(PONG, 1000));
    await stopped;
    expect(await client.closed).toBeGreaterThan(1000);
  });

  test('pings are answered, however many come in one chunk', async () => {
    const api = await start();
    const user = await api.signIn();
    const pongs: unknown[] = [];
    const answered = new Promise((resolve) => {
      user.socket.on('pong', (data) => {
        if (pongs.push(data) === 20) resolve(undefined);
      });
    });
    raw(user, empty(PING, 20));
    await answered;
    expect(await user.call('session.getUser')).not.toBeNull();
  });

  test('empty pieces of one message end the socket', async () => {
    const api = await start();
    const stranger = await api.connect();
    const strangersReason = reasonOf(stranger);
    raw(stranger, Buffer.concat([empty(FIRST_PIECE, 1), empty(NEXT_PIECE, 1000)]));
    expect(await strangersReason).toMatch(/^1013 too many pieces of messages: at most 50 at once/);
    const user = await api.userWith('none');
    const reason = reasonOf(user);
    raw(user, Buffer.concat([empty(FIRST_PIECE, 1), empty(NEXT_PIECE, 10_000)]));
    expect(await reason).toMatch(/^1013 too many pieces of messages: at most 1000 at once/);
  });

  test('a call in some pieces is answered', async () => {
    const api = await start();
    const stranger = await api.connect();
    const [first = '', ...others] =
      '{"jsonrpc":"2.0","id":1,"method":"session.getUser"}'.match(/.{1,10}/g) ?? [];
    stranger.socket.send(first, { fin: false });
    for (const piece of others) stranger.socket.send(piece, { fin: false });
    stranger.socket.send('', { fin: true });
    expect(await stranger.frame()).toContain('"result":null');
  });

  test('what follows in the same chunk is not read once the socket is ended', async () => {
    const api = await start();
    const stranger = await api.connect();
    const reason = reasonOf(stranger);
    const payload = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}');
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
    raw(stranger, Buffer.concat([empty(PONG, 1000), ...Array.from({ length: 1000 }, () => frame)]));
    expect(await reason).toMatch(/^1013/);
    expect(await metric(api, 'vault_calls_total{method="rpc.discover",outcome="ok"}')).toBe(0);
  });
});

describe('a message that is not finished', () => {
  test('ends its socket after unfinishedMessageMs; others stay', async () => {
    const api = await start({ unfinishedMessageMs: 300 });
    const other = await api.signIn();
    const user = await api.userWith('none');
    const reason = reasonOf(user);
    raw(user, Buffer.concat([frameHead(1_000_000), Buffer.alloc(1000)]));
    expect(await reason).toBe(
      '1013 a message was not finished: limits.unfinishedMessage is 300 ms',
    );
    expect(await other.call('session.getUser')).not.toBeNull();
    expect(await metric(api, 'vault_refusals_total{limit="unfinishedMessageMs"}')).toBe(1);
  });

  test('ends it also where it comes in fragments or byte by byte', async () => {
    const api = await start({ unfinishedMessageMs: 300 });
    const user = await api.userWith('none');
    const reason = reasonOf(user);
    const { socket } = user;
    const ended = once(socket, 'close');
    while (socket.readyState === socket.OPEN) {
      socket.send('x', { fin: false });
      // One that does not wait meets the limit of pieces first.
      // oxlint-disable-next-line no-await-in-loop -- piece by piece
      await Promise.race([metric(api, 'vault_sockets'), ended]);
    }
    expect(await reason).toContain('limits.unfinishedMessage');
  });

  test('counts: 60 of them hold no more than bytesInFlightPerUser', async () => {
    const mib = 1024 * 1024;
    const api = await start({ bytesInFlightPerUser: 8 * mib });
    const admin = await api.signIn();
    const credentials = { email: 'none', password: 'long enough' };
    await admin.call('user.create', { ...credentials, permission: 'none' });
    const { result: token } = {
      result: await (await api.signIn(credentials)).call('token.create', {}),
    };
    const clients = await Promise.all(Array.from({ length: 60 }, () => api.signIn({ token })));
    const ended = clients.map(({ closed }) => closed);
    for (const client of clients)
      raw(client, Buffer.concat([frameHead(2 * mib), Buffer.alloc(mib)]));
    // All but the few that fit.
    let count = 0;
    await new Promise<void>((resolve) => {
      for (const each of ended) {
        void each.then(() => {
          count += 1;
          if (count === 60 - 8) resolve();
        });
      }
    });
    expect(await metric(api, 'vault_bytes_in_flight')).toBeLessThanOrEqual(8 * mib);
    expect(await admin.call('session.getUser')).not.toBeNull();
  });
});

describe('answers that are not read', () => {
  test('end the socket after unreadAnswerMs', async () => {
    const api = await start({
      unreadAnswerMs: 300,
      unsentBytes: 1024 ** 3,
      bytesInFlightPerUser: 1024 ** 3,
    });
    const slow = await api.signIn();
    await slow.call('secret.add', { name: 'large', value: 'x', description: 'x'.repeat(500_000) });
    slow.socket.pause();
    const closed = once(slow.socket, 'close');
    for (let i = 0; i < 100; i++) {
      slow.socket.send(`{"jsonrpc":"2.0","id":${i},"method":"secret.getAll"}`);
    }
    while ((await metric(api, 'vault_refusals_total{limit="unreadAnswerMs"}')) === 0);
    slow.socket.resume();
    await closed;
    // The calls that were under way end, too.
    while ((await metric(api, 'vault_bytes_in_flight')) > 0);
    expect(await metric(api, 'vault_sockets')).toBe(0);
  });

  test('keep the next calls waiting until they are read; all are answered', async () => {
    const api = await start();
    const admin = await api.signIn();
    await admin.call('secret.add', { name: 'large', value: 'x', description: 'x'.repeat(500_000) });
    admin.socket.pause();
    for (let i = 0; i < 200; i++) {
      admin.socket.send(`{"jsonrpc":"2.0","id":${i},"method":"secret.getAll"}`);
    }
    // 200 answers are 100 MB: most of them are not even made.
    while ((await metric(api, 'vault_bytes_in_flight')) < 1024 * 1024);
    admin.socket.resume();
    for (let i = 0; i < 200; i++) {
      // oxlint-disable-next-line no-await-in-loop -- frames follow each other
      expect(JSON.parse(await admin.frame())).toHaveProperty('result');
    }
    expect(await metric(api, 'vault_bytes_in_flight')).toBe(0);
  });
});
