/** Who gets a socket when there are too many, and who gives way. */
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { ADMIN, ApiFixture } from '../api-fixture.js';
import type { FixtureOptions } from '../api-fixture.js';
import type { ClientOptions, RpcClient } from '../rpc-client.js';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  // oxlint-disable-next-line no-await-in-loop -- last first
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function start(options: FixtureOptions): Promise<ApiFixture> {
  const api = await ApiFixture.start(options);
  stops.push(() => api.stop());
  return api;
}

/** What a client is answered whose upgrade is refused. */
async function refusal(api: ApiFixture, options: ClientOptions = {}): Promise<string> {
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}/api/`, options);
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return `${response.statusCode} ${body}`;
}

async function dropped({ socket }: RpcClient): Promise<string> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return `${code} ${reason.toString()}`;
}

function bearer(token: string): ClientOptions {
  return { headers: { authorization: `Bearer ${token}` } };
}

async function halfRequest(
  { url }: Pick<ApiFixture, 'url'>,
  localAddress: string,
): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const options = { host: hostname, port: Number(port), localAddress };
  return halfRequestAt(options);
}

async function halfRequestAt(options: NetConnectOpts): Promise<Socket> {
  const socket = connect(options);
  stops.push(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('GET /healthz HTTP/1.1\r\nHost: ');
  return socket;
}

describe('sockets of one user', () => {
  test('past socketsPerUser close the one that was used longest ago', async () => {
    const api = await start({ limits: { socketsPerUser: 2 } });
    const first = await api.signIn();
    const second = await api.signIn();
    api.clock.aheadMs += 1000;
    await first.call('session.getUser');
    const gone = dropped(second);
    const third = await api.signIn();
    expect(await gone).toBe('1013 a newer socket of this user: limits.socketsPerUser is 2');
    expect(await first.call('session.getUser')).toMatchObject({ email: ADMIN.email });
    expect(await third.call('session.getUser')).toMatchObject({ email: ADMIN.email });
  });

  test('past socketsPerUser close one of the credential with most: a stolen token shuts its owner out of nothing', async () => {
    const api = await start({ limits: { socketsPerUser: 3 } });
    const owner = await api.signIn();
    const token = await owner.call<string>('token.create', {});
    const stolen: RpcClient[] = [];
    for (let i = 0; i < 6; i++) {
      api.clock.aheadMs += 1000;
      // oxlint-disable-next-line no-await-in-loop -- one after the other: the oldest gives way
      stolen.push(await api.signIn({ token }));
    }
    const first = await Promise.all(stolen.slice(0, 4).map(({ closed }) => closed));
    expect(first).toEqual([1013, 1013, 1013, 1013]);
    expect(await owner.call('session.getUser')).toMatchObject({ email: ADMIN.email });
    // A new sign-in of the owner makes the token give way, too.
    const again = await api.signIn();
    expect(await stolen[4]?.closed).toBe(1013);
    for (const client of [owner, again]) {
      // oxlint-disable-next-line no-await-in-loop -- one client after the other
      expect(await client.call('session.getUser')).toMatchObject({ email: ADMIN.email });
    }
  });

  test('are found by the user, and end together', async () => {
    const api = await start({});
    const user = await api.userWith('none');
    const { connections } = api.api;
    expect(connections.connectionsOf(user.userId)).toHaveLength(1);
    const gone = dropped(user);
    expect(connections.dropUser(user.userId, 'the password was changed')).toBe(1);
    expect(await gone).toBe('1013 the password was changed');
    expect(connections.connectionsOf(user.userId)).toEqual([]);
  });
});

describe('sockets of one address', () => {
  test('past socketsPerAddress close its oldest stranger, and nobody else’s', async () => {
    const api = await start({ limits: { socketsPerAddress: 2 } });
    const other = await api.connect({ localAddress: '127.0.0.2' });
    const older = await api.connect();
    await api.connect();
    const gone = dropped(older);
    await api.connect();
    expect(await gone).toBe('1013 a newer socket of this address: limits.socketsPerAddress is 2');
    expect(await other.call('session.getUser')).toBeNull();
  });

  test('that are all signed in keep the next one out, but for an administrator’s token', async () => {
    const api = await start({ limits: { socketsPerAddress: 2 } });
    const admin = await api.signIn();
    const token = await admin.call<string>('token.create', {});
    await api.signIn();
    expect(await refusal(api)).toBe(
      '503 no room for another socket: limits.socketsPerAddress is 2\n',
    );
    const lane = await api.connect(bearer(token));
    expect(await lane.call('session.getUser')).toBeNull();
  });

  test('count for the client behind a proxy that is trusted, and for the proxy where it is not', async () => {
    const limits = { socketsPerAddress: 1 };
    const api = await start({ limits, trustedProxies: ['127.0.0.0/30'] });
    const from = (address: string, localAddress = '127.0.0.1') => ({
      headers: { 'x-forwarded-for': `203.0.113.9, ${address}` },
      localAddress,
    });
    const first = await api.connect(from('198.51.100.1'));
    const second = await api.connect(from('198.51.100.2'));
    const gone = dropped(first);
    await api.connect(from('198.51.100.1, 127.0.0.2'));
    expect(await gone).toContain('limits.socketsPerAddress');
    // This peer is no proxy of ours: whatever it writes, it is one address.
    const liar = await api.connect(from('198.51.100.3', '127.0.0.9'));
    const liarGone = dropped(liar);
    await api.connect(from('198.51.100.4', '127.0.0.9'));
    expect(await liarGone).toContain('limits.socketsPerAddress');
    expect(await second.call('session.getUser')).toBeNull();
  });
});

describe('when all sockets are taken', () => {
  test('strangers give way, of the address that has most', async () => {
    const api = await start({ limits: { sockets: 3 } });
    const single = await api.connect({ localAddress: '127.0.0.3' });
    const older = await api.connect();
    await api.connect();
    const gone = dropped(older);
    await api.connect();
    expect(await gone).toBe('1013 a newer socket: limits.sockets is 3');
    expect(await single.call('session.getUser')).toBeNull();
  });

  test('by signed-in users, an administrator’s token takes one of the user with most', async () => {
    const api = await start({ limits: { sockets: 3 } });
    const admin = await api.signIn();
    const token = await admin.call<string>('token.create', {});
    await admin.call('user.create', { email: 'many', password: 'long enough', permission: 'none' });
    const many = { email: 'many', password: 'long enough' };
    const oldest = await api.signIn(many);
    await api.signIn(many);
    expect(await refusal(api)).toBe('503 no room for another socket: limits.sockets is 3\n');
    const gone = dropped(oldest);
    const lane = await api.connect(bearer(token));
    expect(await gone).toBe('1013 a newer socket: limits.sockets is 3');
    expect(await lane.call('session.getUser')).toBeNull();
    expect(await lane.call('session.signIn', { token })).toMatchObject({ email: ADMIN.email });
  });

  test('by a stolen token of that administrator, its own give way', async () => {
    const api = await start({ limits: { sockets: 4 } });
    const admin = await api.signIn();
    const stolen = await admin.call<string>('token.create', { scope: { readOnly: true } });
    const own = await admin.call<string>('token.create', {});
    api.clock.aheadMs += 1000;
    const first = await api.signIn({ token: stolen });
    await api.signIn({ token: stolen });
    await api.signIn({ token: stolen });
    await api.connect(bearer(own));
    expect(await first.closed).toBe(1013);
    expect(await admin.call('session.getUser')).toMatchObject({ email: ADMIN.email });
  });

  test('a token that is not valid, or of another user, makes no room', async () => {
    const api = await start({ limits: { sockets: 2 } });
    const admin = await api.signIn();
    const credentials = { email: 'user', password: 'long enough' };
    await admin.call('user.create', { ...credentials, permission: 'none' });
    const user = await api.signIn(credentials);
    const token = await user.call<string>('token.create', {});
    expect(await refusal(api, bearer(token))).toContain('503 ');
    const right = await admin.call<string>('token.create', {});
    expect(await refusal(api, bearer(`${right}x`))).toContain('503 ');
  });
});

describe('upgrades', () => {
  test('that are refused leave nothing open, though the client keeps its end', async () => {
    const api = await start({});
    const accepted = once(api.api.app.server, 'connection');
    const { hostname, port, host } = new URL(api.url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    stops.push(() => socket.destroy());
    const [held] = (await accepted) as [Socket];
    const closed = once(held, 'close');
    socket.write(
      `GET /nothing HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toContain('404 Not Found');
    await closed;
    expect(socket.writableEnded).toBe(false);
  });

  test('that wait for their turn are as many as sockets of one address, and no more', async () => {
    const limits = { callsInFlightOfStrangers: 1, socketsPerAddress: 2, throttlingDelayMs: 30_000 };
    const api = await start({ limits: { ...limits, throttledWaitMs: 60_000 } });
    const busy = await api.connect();
    const wrong = { email: 'nobody', password: 'wrong' };
    await expect(busy.call('session.signIn', wrong)).rejects.toMatchObject({ code: 3 });
    // It waits for the pause to end, and with it all strangers.
    busy.call('session.signIn', wrong).catch(() => undefined);
    const refused = await Promise.race([refusal(api), refusal(api), refusal(api)]);
    expect(refused).toBe('503 no room for another socket: limits.socketsPerAddress is 2\n');
  });
});

describe('connections that are no WebSocket', () => {
  test('are ended where they ask for much without waiting for answers', async () => {
    const api = await start({});
    const { hostname, port } = new URL(api.url);
    const flood = connect({ host: hostname, port: Number(port) });
    stops.push(() => flood.destroy());
    flood.on('error', () => undefined);
    const ended = once(flood, 'close');
    let answered = '';
    flood.on('data', (data: Buffer) => (answered += data.toString()));
    flood.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1000));
    await ended;
    expect(answered.split('200 OK').length).toBeLessThan(1000);
    const few = connect({ host: hostname, port: Number(port) });
    stops.push(() => few.destroy());
    few.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(8));
    let answers = '';
    // oxlint-disable-next-line no-await-in-loop -- one event after another
    while (answers.split('200 OK').length <= 8) answers += String((await once(few, 'data'))[0]);
    expect(few.destroyed).toBe(false);
  });

  test('past httpConnectionsPerAddress close the oldest of that address', async () => {
    const api = await start({ limits: { httpConnectionsPerAddress: 2 } });
    const other = await halfRequest(api, '127.0.0.2');
    const oldest = await halfRequest(api, '127.0.0.3');
    const closed = once(oldest, 'close');
    await halfRequest(api, '127.0.0.3');
    await halfRequest(api, '127.0.0.3');
    await closed;
    const answered = once(other, 'data');
    other.write('localhost\r\n\r\n');
    expect(String((await answered)[0])).toContain('200 OK');
  });

  test('past httpConnections close one of the address that has most', async () => {
    const api = await start({ limits: { httpConnections: 3 } });
    const single = await halfRequest(api, '127.0.0.2');
    const oldest = await halfRequest(api, '127.0.0.3');
    const closed = once(oldest, 'close');
    await halfRequest(api, '127.0.0.3');
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    await closed;
    expect(single.destroyed).toBe(false);
    expect(await (await fetch(`${api.url}/metrics`)).text()).toMatch(
      /vault_refusals_total\{limit="httpConnections"\} [1-9]/,
    );
  });
});

test('a token that was shown when a socket was opened keeps the place while it is valid', async () => {
  const api = await start({});
  const admin = await api.signIn();
  const second = await api.userWith('admin');
  const token = await second.call<string>('token.create', {});
  const headers = { authorization: `Bearer ${token}` };
  const shown = await api.connect({ headers });
  const place = [...api.api.connections].at(-1);
  expect(place).toMatchObject({ isAdministrator: true, userId: second.userId });
  // Demoted, then deleted: after each call the sockets of this server are looked at afresh.
  await admin.call('user.set', { id: second.userId, permission: 'read' });
  expect(place).toMatchObject({ isAdministrator: false, userId: second.userId });
  await admin.call('token.delete', { tokens: [token] });
  expect(place).toMatchObject({ isAdministrator: false, userId: undefined });
  expect(shown.socket.readyState).toBe(shown.socket.OPEN);
  expect(await shown.call('session.getUser')).toBeNull();
});

describe('connections at the port of recovery mode', () => {
  test('count for one address, whatever address of this machine they come from', async () => {
    const api = await start({ limits: { httpConnectionsPerAddress: 2 } });
    const [door = ''] = await api.api.openRecovery(0);
    const oldest = await halfRequest({ url: door }, '127.0.0.2');
    const closed = once(oldest, 'close');
    await halfRequest({ url: door }, '127.0.0.3');
    await halfRequest({ url: door }, '127.0.0.4');
    await closed;
    expect(await (await fetch(`${api.url}/metrics`)).text()).toMatch(
      /vault_refusals_total\{limit="httpConnectionsPerAddress"\} 1/,
    );
  });
});

describe('the local socket', () => {
  async function startLocal(options: FixtureOptions = {}) {
    const folder = new TemporaryFolder('local-socket');
    stops.push(() => folder.stop());
    const localSocket = join(folder.path, 'vault.sock');
    return { api: await start({ ...options, localSocket }), socketPath: localSocket, folder };
  }

  test('is for its owner alone, and goes with the server', async () => {
    const { api, socketPath } = await startLocal();
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    await api.api.close();
    expect(() => statSync(socketPath)).toThrow('ENOENT');
  });

  test('lets in when every socket is taken, by whomever', async () => {
    const { api, socketPath } = await startLocal({ limits: { sockets: 1, socketsPerAddress: 1 } });
    await api.signIn();
    expect(await refusal(api)).toContain('503 ');
    const local = await api.signIn(ADMIN, { socketPath });
    expect(await local.call('session.getUser')).toMatchObject({ email: ADMIN.email });
    const connection = [...api.api.connections].find(({ isLocal }) => isLocal);
    expect(connection?.address).toBe('local');
  });

  test('has as many connections that are no WebSocket as an address', async () => {
    const { socketPath: path } = await startLocal({ limits: { httpConnectionsPerAddress: 2 } });
    const oldest = await halfRequestAt({ path });
    const closed = once(oldest, 'close');
    await halfRequestAt({ path });
    const newest = await halfRequestAt({ path });
    await closed;
    const answered = once(newest, 'data');
    newest.write('localhost\r\n\r\n');
    expect(String((await answered)[0])).toContain('200 OK');
  });

  test('that a killed server left is taken over; that of a running one and a file are left', async () => {
    const { api, socketPath, folder } = await startLocal();
    const second = await start({ localSocket: socketPath });
    expect(second.logger.text).toContain('another server answers');
    const file = join(folder.path, 'file');
    writeFileSync(file, 'precious');
    const third = await start({ localSocket: file });
    expect(third.logger.text).toContain('is no socket');
    expect(statSync(file).size).toBe(8);
    expect(await (await api.signIn(ADMIN, { socketPath })).call('session.getUser')).not.toBeNull();
  });

  test('whose path is too long is a warning that says what to set', async () => {
    const api = await start({ localSocket: `/tmp/${'x'.repeat(120)}` });
    expect(api.logger.text).toContain('set http.socket');
  });
});
