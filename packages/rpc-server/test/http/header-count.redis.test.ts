/** Requests of very many headers. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ApiFixture } from '../api-fixture.js';

let fixture: ApiFixture;
let parsed = 0;
const count = (): void => {
  parsed += 1;
};
beforeEach(async () => {
  fixture = await ApiFixture.start();
  parsed = 0;
  subscribe('http.server.request.start', count);
});
afterEach(async () => {
  unsubscribe('http.server.request.start', count);
  await fixture.stop();
});

/** All that comes back on one connection, until the server ends it. */
async function everythingAfter(sent: string): Promise<string> {
  const { hostname, port } = new URL(fixture.url);
  const socket = connect({ host: hostname, port: Number(port) });
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

/** One that has so many. */
function requestOf(headers: number, path = '/healthz', own = 'Connection: close\r\n'): string {
  const ownCount = own.split('\r\n').length;
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${own}${'a: b\r\n'.repeat(headers - ownCount)}\r\n`;
}
const UPGRADE =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

test('a request has at most a hundred', async () => {
  expect(await everythingAfter(requestOf(100))).toMatch(/^HTTP\/1\.1 200 /);
  expect(await everythingAfter(requestOf(101))).toMatch(/^HTTP\/1\.1 431 [^]*at most 100 headers/);
});

test('an upgrade, too', async () => {
  expect(await everythingAfter(requestOf(101, '/api/', UPGRADE))).toMatch(/^HTTP\/1\.1 431 /);
});

test('what else came on such a connection is hardly parsed', async () => {
  await everythingAfter(requestOf(200, '/healthz', '').repeat(20));
  expect(parsed).toBe(1);
});
