/** Each limit of the table, and what happens past it. Those of tokens and passwords are tested where they live. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import type { ConfigBackup } from '../../src/backup/port.js';
import type { Limits } from '../../src/limits.js';
import { ADMIN, ApiFixture, IMPORTED } from '../api-fixture.js';
import type { RpcClient, RpcError } from '../rpc-client.js';

let fixture: ApiFixture | undefined;
afterEach(async () => {
  await fixture?.stop();
  fixture = undefined;
});

async function start(limits: Partial<Limits>, backup?: ConfigBackup): Promise<ApiFixture> {
  fixture = await ApiFixture.start({ limits, ...(backup === undefined ? {} : { backup }) });
  return fixture;
}

/** A call of `session.getUser` that is exactly so many bytes long. */
function messageOf(bytes: number): string {
  const head = '{"jsonrpc":"2.0","id":1,"method":"session.getUser","padding":"';
  return `${head}${'x'.repeat(bytes - head.length - 2)}"}`;
}

describe('messages', () => {
  test('are at most messageBeforeSignInBytes before sign-in, messageBytes after', async () => {
    const api = await start({ messageBeforeSignInBytes: 2048, messageBytes: 65_536 });
    const stranger = await api.connect();
    expect(await stranger.exchange(messageOf(2048))).toContain('"result":null');
    stranger.socket.send(messageOf(2049));
    expect(await stranger.closed).toBe(1009);

    const user = await api.signIn();
    expect(await user.exchange(messageOf(65_536))).toContain('"result":{');
    user.socket.send(messageOf(65_537));
    expect(await user.closed).toBe(1009);
  });

  test('are small again after sign-out', async () => {
    const api = await start({ messageBeforeSignInBytes: 2048 });
    const user = await api.signIn();
    await user.call('session.signOut');
    user.socket.send(messageOf(2049));
    expect(await user.closed).toBe(1009);
  });

  test('by default are 64 KiB before and 2 MiB after', async () => {
    const api = await start({});
    const stranger = await api.connect();
    stranger.socket.send(messageOf(65_537));
    expect(await stranger.closed).toBe(1009);
    const user = await api.signIn();
    expect(await user.exchange(messageOf(2 * 1024 * 1024))).toContain('"result":{');
  });

  test('are not decompressed: the server takes no compression', async () => {
    const api = await start({});
    expect((await api.connect()).socket.extensions).toBe('');
  });
});

describe('answers', () => {
  test('are at most answerBytes, else there is an error for the same id', async () => {
    const api = await start({ answerBytes: 4096 });
    const admin = await api.signIn();
    await admin.call('secret.add', { name: 'large', value: 'x', description: 'é'.repeat(2100) });
    await expect(admin.call('secret.getAll')).rejects.toMatchObject({ code: -32004 });
  });

  test('of a batch are together at most answerBytes, each with its own id', async () => {
    const api = await start({ answerBytes: 4096 });
    const admin = await api.signIn();
    await admin.call('secret.add', { name: 'large', value: 'x', description: 'x'.repeat(1500) });
    const batch = [1, 2, 3].map((id) => ({ jsonrpc: '2.0', id, method: 'secret.getAll' }));
    const answers = JSON.parse(await admin.exchange(JSON.stringify(batch))) as object[];
    expect(answers).toEqual([
      expect.objectContaining({ id: 1, result: [expect.any(Object)] }),
      expect.objectContaining({ id: 2, result: [expect.any(Object)] }),
      expect.objectContaining({ id: 3, error: expect.objectContaining({ code: -32004 }) }),
    ]);
  });

  test('are not read from Redis past answerBytes', async () => {
    const api = await start({ answerBytes: 4096 });
    const admin = await api.signIn();
    for (const name of ['a', 'b', 'c']) {
      await admin.call('secret.add', { name, value: 'x', description: 'x'.repeat(1500) });
    }
    const refused = admin.call('secret.getAll');
    await expect(refused).rejects.toMatchObject({
      code: -32004,
      message: expect.stringContaining('the records are over 4096 bytes'),
    });
    expect(await admin.call('secret.getAll', { limit: 2 })).toHaveLength(2);
  });

  test('that a client does not read end its connection past unsentBytes', async () => {
    const api = await start({ unsentBytes: 65_536 });
    const admin = await api.signIn();
    const value = 'x'.repeat(200_000);
    for (let i = 0; i < 20; i++) {
      await admin.call('secret.add', { name: `large ${i}`, value: 'x', description: value });
    }
    const slow = await api.signIn();
    slow.socket.pause();
    const closed = once(slow.socket, 'close');
    for (let i = 0; i < 20; i++) {
      slow.socket.send(`{"jsonrpc":"2.0","id":${i},"method":"secret.getAll"}`);
    }
    // It reads nothing until the server has given it up.
    for (let metrics = ''; !metrics.includes('vault_sockets 1\n');) {
      metrics = await (await fetch(`${api.url}/metrics`)).text();
    }
    slow.socket.resume();
    const [code] = (await closed) as [number];
    expect(code).toBe(1006);
  });
});

describe('answers to a stranger', () => {
  test('that are not read end the connection long before unsentBytes', async () => {
    const api = await start({});
    const stranger = await api.connect();
    stranger.socket.pause();
    const closed = once(stranger.socket, 'close');
    for (let i = 0; i < 400; i++) {
      stranger.socket.send(`{"jsonrpc":"2.0","id":${i},"method":"rpc.discover"}`);
    }
    for (let metrics = ''; !metrics.includes('vault_sockets 0\n');) {
      metrics = await (await fetch(`${api.url}/metrics`)).text();
    }
    stranger.socket.resume();
    const [code] = (await closed) as [number];
    expect(code).toBe(1006);
  });
});

describe('calls', () => {
  test('in one batch are at most batchCalls', async () => {
    const api = await start({ batchCalls: 2 });
    const client = await api.connect();
    const call = { jsonrpc: '2.0', id: 1, method: 'session.getUser' };
    expect(JSON.parse(await client.exchange(JSON.stringify([call, call])))).toHaveLength(2);
    expect(JSON.parse(await client.exchange(JSON.stringify([call, call, call])))).toMatchObject({
      error: { code: -32600 },
    });
  });

  test('past callsInFlight wait, and are all answered', async () => {
    const api = await start({ callsInFlight: 2 });
    const client = await api.signIn();
    for (let id = 1; id <= 100; id++) {
      client.socket.send(`{"jsonrpc":"2.0","id":${id},"method":"server.getAll","params":{}}`);
    }
    const ids = new Set<number>();
    for (let i = 0; i < 100; i++) {
      ids.add((JSON.parse(await client.frame()) as { id: number }).id);
    }
    expect(ids.size).toBe(100);
  });
});

describe('sockets', () => {
  test('past the number are answered 503', async () => {
    const api = await start({ sockets: 1 });
    const first = await api.signIn();
    const second = new WebSocket(`${api.url.replace('http', 'ws')}/api/`);
    const [, response] = (await once(second, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).toBe(503);
    second.on('error', () => undefined);
    second.terminate();
    await first.close();
  });

  test('of strangers give way, the oldest first, to whoever comes', async () => {
    const api = await start({ sockets: 3 });
    const user = await api.signIn();
    const older = await api.connect();
    const newer = await api.connect();
    await api.signIn();
    expect(await older.closed).toBe(1013);
    expect(await newer.call('session.getUser')).toBeNull();
    expect(await user.call('session.getUser')).toMatchObject({ email: ADMIN.email });
  });

  test('on which nobody signs in are closed after signInDeadlineMs; others stay', async () => {
    const api = await start({ signInDeadlineMs: 1000 });
    const user = await api.signIn();
    const stranger = await api.connect();
    expect(await stranger.closed).toBe(1008);
    expect(await user.call('session.getUser')).toMatchObject({ email: ADMIN.email });
  });
});

describe('sign-ins', () => {
  test('past those that run and wait are refused with code 28', async () => {
    const api = await start({ passwordChecksAtOnce: 1, passwordChecksWaiting: 1 });
    const clients = await Promise.all(Array.from({ length: 8 }, () => api.connect()));
    const outcomes = await Promise.allSettled(
      clients.map((client, i) =>
        client.call('session.signIn', { email: `nobody${i}`, password: 'guess' }),
      ),
    );
    const codes = outcomes.map((it) =>
      it.status === 'rejected' ? (it.reason as RpcError).code : 0,
    );
    expect(codes).toContain(3);
    expect(codes).toContain(28);
  });
});

/** What a backup was given, or why it failed. */
function importingBackup(): ConfigBackup & { readonly received: Promise<string>[] } {
  const received: Promise<string>[] = [];
  return {
    received,
    export: () => ({
      fileName: 'backup.json',
      contentType: 'application/json',
      open: async () => Readable.from(['{}']),
      records: 0,
      leftOut: 0,
      leftOutNames: '',
    }),
    import: async (source) => {
      const whole = text(source);
      received.push(whole);
      return { ...IMPORTED, records: (await whole).length };
    },
  };
}

const OPEN = { allowUnprotected: true };

async function offerUpload(client: RpcClient): Promise<string> {
  return (await client.call<{ $sendTo: string }>('system.importConfig', OPEN)).$sendTo;
}

describe('transfers', () => {
  const posted = async (api: ApiFixture, path: string): Promise<number> =>
    (await fetch(`${api.url}${path}`, { method: 'POST', body: 'x' })).status;

  test('are lost after transferLifetimeMs', async () => {
    const api = await start({ transferLifetimeMs: 1000 }, importingBackup());
    const path = await offerUpload(await api.signIn());
    const waiting = () => api.api.serving?.services.transfers.waiting;
    expect(waiting()).toBe(1);
    while (waiting() === 1) await (await fetch(`${api.url}/healthz`)).text();
    expect(await posted(api, path)).toBe(404);
  });

  test('that wait are at most transfersPerUser: the oldest is forgotten', async () => {
    const api = await start({ transfersPerUser: 2 }, importingBackup());
    const admin = await api.signIn();
    const paths = [await offerUpload(admin), await offerUpload(admin), await offerUpload(admin)];
    expect(await Promise.all(paths.map((path) => posted(api, path)))).toEqual([404, 200, 200]);
  });

  test('that wait are at most transfersOpen: the user who has most loses the oldest', async () => {
    const api = await start({ transfersOpen: 3 }, importingBackup());
    const reader = await api.userWith('read');
    const offers: string[] = [];
    for (let i = 0; i < 100; i++) {
      // oxlint-disable-next-line no-await-in-loop -- one client, one call after another
      const { $getFrom } = await reader.call<{ $getFrom: string }>('xo.getAllObjects', {
        ndjson: true,
      });
      offers.push($getFrom);
    }
    const path = await offerUpload(await api.signIn());
    const last = offers.at(-1) ?? '';
    expect((await fetch(`${api.url}${last}`)).status).toBe(200);
    expect(await posted(api, path)).toBe(200);
  });

  const offerObjects = async (client: RpcClient): Promise<string> =>
    (await client.call<{ $getFrom: string }>('xo.getAllObjects', { ndjson: true })).$getFrom;

  test('that a stolen token asked for make those of its owner neither forgotten nor refused', async () => {
    const backup = importingBackup();
    const limits = { transfersPerUser: 2, transfersRunningPerUser: 2 };
    const api = await start(limits, backup);
    const owner = await api.signIn();
    const token = await owner.call<string>('token.create', {});
    const thief = await api.signIn({ token });
    const path = await offerUpload(owner);
    const stolen: string[] = [];
    for (let i = 0; i < 5; i++) {
      // oxlint-disable-next-line no-await-in-loop -- the oldest is forgotten
      stolen.push(await offerObjects(thief));
    }
    const running = request(`${api.url}${await offerUpload(thief)}`, { method: 'POST' });
    const answered = once(running, 'response');
    running.write('x');
    while (backup.received.length === 0) await (await fetch(`${api.url}/healthz`)).text();
    // The thief's second is refused, the owner's is not.
    expect(await posted(api, await offerUpload(thief))).toBe(503);
    expect(await posted(api, path)).toBe(200);
    running.end();
    await answered;
    expect((await fetch(`${api.url}${stolen[0]}`)).status).toBe(404);
  });

  test('of one user run at most transfersRunningPerUser at once', async () => {
    const backup = importingBackup();
    const api = await start({ transfersRunningPerUser: 1 }, backup);
    const admin = await api.signIn();
    const first = request(`${api.url}${await offerUpload(admin)}`, { method: 'POST' });
    first.write('x');
    const answered = once(first, 'response');
    const second = await offerUpload(admin);
    while (backup.received.length === 0) await (await fetch(`${api.url}/healthz`)).text();
    expect(await posted(api, second)).toBe(503);
    first.end();
    await answered;
    expect(await posted(api, await offerUpload(admin))).toBe(200);
  });

  test.each(['with a length', 'chunked'])(
    'take at most uploadBytes, %s, and the client can read why',
    async (how) => {
      const backup = importingBackup();
      const api = await start({ uploadBytes: 1024 }, backup);
      const admin = await api.signIn();
      const send = async (bytes: number): Promise<Response> => {
        const body = Buffer.alloc(bytes, 'x');
        const stream = Readable.toWeb(Readable.from([body])) as ReadableStream;
        const url = `${api.url}${await offerUpload(admin)}`;
        return how === 'chunked'
          ? fetch(url, { method: 'POST', body: stream, duplex: 'half' })
          : fetch(url, { method: 'POST', body });
      };
      expect((await send(1024)).status).toBe(200);
      const refused = await send(1025);
      expect(refused.status).toBe(413);
      expect(await refused.json()).toMatchObject({ error: { code: -32004 } });
    },
  );

  test('take at most uploadDurationMs', async () => {
    const backup = importingBackup();
    const api = await start({ uploadDurationMs: 1000 }, backup);
    const path = await offerUpload(await api.signIn());
    const slow = request(`${api.url}${path}`, { method: 'POST' });
    const endless = new PassThrough();
    endless.write('x');
    endless.pipe(slow);
    const [response] = (await once(slow, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
    expect(await text(response)).toContain('UPLOAD_TOO_SLOW');
    await expect(backup.received[0]).rejects.toThrow('at most 1000 ms');
    slow.destroy();
  });
});
