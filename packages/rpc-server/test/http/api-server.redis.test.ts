import { request } from 'node:http';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { ADMIN, ApiFixture, NO_BACKUP } from '../api-fixture.js';
import type { DownloadOffer } from '../../src/protocol.js';

let fixture: ApiFixture;
beforeAll(async () => {
  fixture = await ApiFixture.start({
    allowedHosts: ['vault.example.org'],
    allowedOrigins: ['https://console.example.org'],
  });
});
afterAll(async () => fixture?.stop());

function serve(): void {
  fixture.api.setState({
    mode: 'serving',
    database: fixture.store.database,
    backup: NO_BACKUP,
  });
}

async function get(path: string, headers: Record<string, string> = {}) {
  const sent = request(`${fixture.url}${path}`, { headers });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

describe('health', () => {
  test('is up whatever the state; ready only while it serves', async () => {
    expect(await get('/healthz')).toMatchObject({ status: 200, body: '{"status":"up"}' });
    expect(await get('/readyz')).toMatchObject({ status: 200, body: '{"mode":"serving"}' });

    fixture.api.setState({ mode: 'degraded', reason: 'oneHalf' });
    expect(await get('/healthz')).toMatchObject({ status: 200 });
    const degraded = await get('/readyz');
    expect(degraded.status).toBe(503);
    expect(JSON.parse(degraded.body)).toEqual({ mode: 'degraded', reason: 'oneHalf' });

    const progress = { phase: 'encrypt', done: 10, total: 40 };
    fixture.api.setState({ mode: 'starting', progress });
    const starting = await get('/readyz');
    expect(starting.status).toBe(503);
    expect(JSON.parse(starting.body)).toEqual({ mode: 'starting', progress });
    expect((await get('/metrics')).body).toContain('vault_migration_progress_ratio 0.25');
    serve();
  });

  test('metrics count calls by method and outcome, and hold no name that a client invents', async () => {
    const client = await fixture.connect();
    await client.call('system.getVersion');
    await client.call('MARKER-METHOD').catch(() => undefined);
    const { body, headers } = await get('/metrics');
    expect(headers['content-type']).toContain('text/plain');
    expect(body).toMatch(/vault_rpc_calls_total\{method="system.getVersion",outcome="ok"\} \d/);
    expect(body).toContain('vault_mode{mode="serving"} 1');
    expect(body).not.toContain('MARKER');
  });
});

describe('degraded', () => {
  test('refuses every call with one clear error, sign-in and unknown methods too', async () => {
    const signedIn = await fixture.signIn();
    const stranger = await fixture.connect();
    fixture.api.setState({ mode: 'degraded', reason: 'oneHalf' });
    const expected = {
      code: -32001,
      message: expect.stringContaining('vault-server status'),
      data: { reason: 'oneHalf' },
    };
    for (const method of ['session.signIn', 'system.getVersion', 'rpc.discover', 'foobar']) {
      await expect(stranger.call(method, ADMIN)).rejects.toMatchObject(expected);
      await expect(signedIn.call(method, {})).rejects.toMatchObject(expected);
    }
    const batch = JSON.stringify([{ jsonrpc: '2.0', id: 1, method: 'session.getUser' }]);
    expect(JSON.parse(await stranger.exchange(batch))).toMatchObject([{ error: { code: -32001 } }]);
    serve();
    // Nobody is still signed in from before.
    expect(await signedIn.call('session.getUser')).toBeNull();
  });

  test('answers transfers 503, and forgets those that were offered', async () => {
    const admin = await fixture.signIn();
    const { $getFrom } = await admin.call<DownloadOffer>('xo.getAllObjects', { ndjson: true });
    fixture.api.setState({ mode: 'degraded', reason: 'oneHalf' });
    expect(await get($getFrom)).toMatchObject({ status: 503 });
    serve();
    expect(await get($getFrom)).toMatchObject({ status: 404 });
  });

  test('while starting, says how far it is', async () => {
    const progress = { phase: 'encrypt', done: 1, total: 2 };
    fixture.api.setState({ mode: 'starting', progress });
    const client = await fixture.connect();
    await expect(client.call('session.signIn', ADMIN)).rejects.toMatchObject({
      code: -32002,
      data: progress,
    });
    serve();
  });
});

describe('other sites', () => {
  test('do not get in by a name of theirs, nor by an origin', async () => {
    expect(await get('/healthz', { host: 'attacker.example' })).toMatchObject({ status: 421 });
    const origin = 'http://attacker.example';
    expect(await get('/healthz', { origin })).toMatchObject({ status: 403 });
    expect(await get('/metrics', { 'sec-fetch-site': 'cross-site' })).toMatchObject({
      status: 403,
    });
    expect(await get('/healthz', { host: 'vault.example.org' })).toMatchObject({ status: 200 });
  });

  test.each([
    [{ origin: 'http://attacker.example' }, 403],
    [{ host: 'attacker.example' }, 421],
  ])('do not open a WebSocket with %j', async (headers, status) => {
    const socket = new WebSocket(`${fixture.url.replace('http', 'ws')}/api/`, { headers });
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).toBe(status);
    socket.terminate();
  });

  test('that are allowed do', async () => {
    const client = await fixture.connect({ headers: { origin: 'https://console.example.org' } });
    expect(await client.call('system.getVersion')).toBe('0.1');
  });

  test('find the headers that keep a page to itself on every answer', async () => {
    for (const path of ['/healthz', '/nothing', `/api/${'A'.repeat(43)}`]) {
      const { headers } = await get(path);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['x-frame-options']).toBe('DENY');
    }
  });

  test('a request for nothing is 404 and ends its connection', async () => {
    expect(await get('/nothing')).toMatchObject({ status: 404, headers: { connection: 'close' } });
  });
});

describe('closing', () => {
  test('lets calls under way finish, says goodbye with 1001, and frees the port', async () => {
    const own = await ApiFixture.start();
    const client = await own.signIn();
    const call = '{"jsonrpc":"2.0","id":1,"method":"server.getAll","params":{}}';
    const version = '{"jsonrpc":"2.0","id":2,"method":"system.getVersion"}';
    client.socket.send(call);
    client.socket.send(version);
    // Both have arrived once one is answered.
    const first = await client.frame();
    const stopped = own.stop();
    const second = await client.frame();
    expect([first, second].toSorted()).toEqual([
      '{"jsonrpc":"2.0","id":1,"result":[]}',
      '{"jsonrpc":"2.0","id":2,"result":"0.1"}',
    ]);
    expect(await client.closed).toBe(1001);
    await stopped;
    await expect(fetch(`${own.url}/healthz`)).rejects.toThrow('fetch failed');
  });
});
