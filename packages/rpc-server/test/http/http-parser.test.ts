/** What Node still parses of the bytes that it has, once nobody wants them. */
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { Resources } from '../../../../test/harness/resources.js';
import { withoutFloods } from '../../src/http/pipelining.js';
import { withoutUnreadBodies } from '../../src/http/unread-bodies.js';

const resources = new Resources();
afterEach(() => resources.stop());

/** Sends it on one connection, and waits until the server has ended that. @returns all that came back */
async function sendTo(listener: RequestListener, sent: string): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  resources.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
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

test('of two thousand requests on one connection hardly more than the allowed ones are parsed', async () => {
  let parsed = 0;
  const handler = withoutFloods(() => undefined);
  const count: RequestListener = (request, response) => {
    parsed += 1;
    handler(request, response);
  };
  await sendTo(count, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2000));
  expect(parsed).toBe(17);
});

const isOffered = (path: string): boolean => path === '/api/x';

/** Counts the pieces of a body that are given to a request. */
function counting(): { readonly listener: RequestListener; readonly pieces: () => number } {
  let pieces = 0;
  const handler = withoutUnreadBodies((request, response) => {
    if (request.url === '/healthz') response.end('ok');
    else request.resume();
  }, isOffered);
  return {
    pieces: () => pieces,
    listener: (request, response) => {
      const push = request.push.bind(request);
      request.push = (piece: Buffer | null, encoding) => {
        if (piece !== null) pieces += 1;
        return push(piece, encoding);
      };
      handler(request, response);
    },
  };
}

const CHUNKED = 'HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
const PIECES = '1\r\na\r\n'.repeat(9000);

test('no piece of a body is given to an upload that nobody was offered, however long they are', async () => {
  const { listener, pieces } = counting();
  const sent = `40\r\n${'a'.repeat(64)}\r\n`.repeat(900);
  await sendTo((request, response) => {
    listener(request, response);
    request.once('end', () => response.end());
  }, `POST /api/y ${CHUNKED}${sent}0\r\n\r\n`);
  expect(pieces()).toBe(0);
});

test('no piece of a body is given to a request that reads none; it is answered', async () => {
  const { listener, pieces } = counting();
  const answer = await sendTo(listener, `POST /healthz ${CHUNKED}${PIECES}0\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(pieces()).toBe(0);
});

test('of an upload in pieces of one byte some hundred are, and the next upload has all of its own', async () => {
  const first = counting();
  await sendTo(first.listener, `POST /api/x ${CHUNKED}${PIECES}`);
  expect(first.pieces()).toBeLessThan(520);

  // The parser is used again.
  let received = '';
  const next = withoutUnreadBodies((request, response) => {
    request.on('data', (data: Buffer) => {
      received += data.toString();
    });
    request.on('end', () => response.writeHead(200, { Connection: 'close' }).end());
  }, isOffered);
  await sendTo(next, `POST /api/x ${CHUNKED}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
  expect(received).toBe('abcde');
});
