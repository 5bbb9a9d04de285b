/** Requests that Node would answer itself, before any bound of ours is asked: the server's own handler gets them. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect } from 'node:net';
import type { NetConnectOpts } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { ApiFixture } from '../api-fixture.js';

const resources = new Resources();
let parsed = 0;
const count = (): void => {
  parsed += 1;
};
beforeEach(() => {
  parsed = 0;
  subscribe('http.server.request.start', count);
});
afterEach(async () => {
  unsubscribe('http.server.request.start', count);
  await resources.stop();
});

async function start(way: string): Promise<NetConnectOpts> {
  const folder = resources.use(new TemporaryFolder('vault-http'));
  const path = join(folder.path, 'vault.sock');
  const fixture = await ApiFixture.start({ localSocket: path });
  resources.defer(() => fixture.stop());
  const { hostname, port } = new URL(fixture.url);
  return way === 'socket' ? { path } : { host: hostname, port: Number(port) };
}

/** Sends it on one connection, and waits until the server has ended that. @returns all that came back */
async function everythingAfter(to: NetConnectOpts, sent: string): Promise<string> {
  const socket = connect(to);
  let received = '';
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => {
    received += data.toString();
  });
  const closed = new Promise((resolve) => {
    socket.once('close', resolve);
  });
  socket.write(sent);
  await closed;
  return received;
}

const WITHOUT_HOST = 'GET /healthz HTTP/1.1\r\n\r\n';
const EXPECTING = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: a\r\n\r\n';

describe.each(['port', 'socket'])('at the %s', (way) => {
  test.each([
    ['without a Host', WITHOUT_HOST],
    ['that expect what nobody knows', EXPECTING],
  ])('of two thousand requests %s hardly more than the allowed ones are parsed', async (_, one) => {
    await everythingAfter(await start(way), one.repeat(2000));
    expect(parsed).toBe(17);
  });

  test('one request without a Host is told why it is refused', async () => {
    const answer = await everythingAfter(await start(way), WITHOUT_HOST);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*no valid Host header/);
  });

  test('one that expects what nobody knows is served', async () => {
    const last = EXPECTING.replace('Expect', 'Connection: close\r\nExpect');
    expect(await everythingAfter(await start(way), last)).toMatch(/^HTTP\/1\.1 200 /);
  });
});
