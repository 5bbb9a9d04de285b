/** Bodies that nobody asked for, and bodies in tiny pieces. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from '@jest/globals';
import { ApiFixture, IMPORTED } from '../api-fixture.js';

let fixture: ApiFixture | undefined;
afterEach(async () => {
  await fixture?.stop();
  fixture = undefined;
});

/** All that comes back on one connection, until the server ends it. */
async function everythingAfter(url: string, sent: string): Promise<string> {
  const { port, hostname } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  let received = '';
  socket.on('data', (data: Buffer) => {
    received += data.toString();
  });
  // Not `once`, which rejects where the connection is reset.
  const closed = new Promise((resolve) => {
    socket.once('close', resolve);
  });
  socket.write(sent);
  await closed;
  return received;
}

const post = (path: string, more: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${more}`;
const UNKNOWN_TRANSFER = `/api/${'x'.repeat(43)}`;

test.each([
  ['GET', '/healthz'],
  ['POST', '/healthz'],
  ['POST', '/rest/secrets/1.0/keys/rotate'],
  ['POST', '/nothing'],
])('a connection with a body for %s %s ends with the answer', async (method, path) => {
  fixture = await ApiFixture.start();
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n`;
  for (const body of [
    'Content-Length: 10\r\n\r\n12345',
    'Transfer-Encoding: chunked\r\n\r\n1\r\na',
  ]) {
    const answer = await everythingAfter(fixture.url, head + body);
    expect(answer).toMatch(/^HTTP\/1\.1 (?:200|401|404) /);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
  }
});

test('one without a body stays open for the next request', async () => {
  fixture = await ApiFixture.start();
  const get = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n';
  const answers = await everythingAfter(
    fixture.url,
    `${get}Content-Length: 0\r\n\r\n${get}Connection: close\r\n\r\n`,
  );
  expect(answers.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
});

test.each(['/healthz', UNKNOWN_TRANSFER])(
  'a body in pieces of one byte ends the connection to %s, and the rest of it is not read',
  async (path) => {
    fixture = await ApiFixture.start();
    const pieces = post(path, `Transfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(10_000)}`);
    // What follows would be another request, and another answer.
    const answers = await everythingAfter(
      fixture.url,
      `${pieces}0\r\n\r\n${post('/healthz', '\r\n')}`,
    );
    expect(answers.match(/HTTP\/1\.1/g) ?? []).not.toHaveLength(2);
  },
);

test('an upload may come in some thousand pieces that are not tiny', async () => {
  const received: string[] = [];
  fixture = await ApiFixture.start({
    backup: {
      export: () => {
        throw new Error('not here');
      },
      import: async (body) => {
        received.push(await text(body));
        return IMPORTED;
      },
    },
  });
  const admin = await fixture.signIn();
  const offer = await admin.call<{ $sendTo: string }>('system.importConfig', {
    allowUnprotected: true,
  });
  const sending = request(fixture.url + offer.$sendTo, { method: 'POST' });
  const answered = once(sending, 'response');
  for (let i = 0; i < 5000; i++) sending.write(`${String(i).padStart(99, '.')}\n`);
  sending.end();
  const [answer] = (await answered) as [IncomingMessage];
  answer.resume();
  expect(answer.statusCode).toBe(200);
  expect(received.join('')).toHaveLength(500_000);
});
