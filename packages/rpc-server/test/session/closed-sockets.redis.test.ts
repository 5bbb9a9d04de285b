/** Sessions of sockets that are closed: nobody compares them with the database any more. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Authenticator } from '../../src/session/authenticator.js';
import { Passwords } from '../../src/session/passwords.js';
import { Session } from '../../src/session/session.js';
import type { Identity } from '../../src/session/session.js';
import { ADMIN, ApiFixture } from '../api-fixture.js';
import { hold, onCall } from '../held-work.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture;
beforeEach(async () => {
  fixture = await ApiFixture.start();
});
afterEach(() => fixture.stop());

/** The server has seen it, too. */
async function cut(client: RpcClient): Promise<void> {
  client.socket.terminate();
  while (fixture.api.connections.size > 0) await (await fetch(`${fixture.url}/healthz`)).text();
}

/** A comparison that the server's own timer began is over: the next begins anew. */
async function nothingUnderWay(): Promise<void> {
  await fixture.api.serving?.rights.sweep();
}

/** Of how many sessions a comparison reads that begins now. */
async function compared(): Promise<number> {
  await nothingUnderWay();
  let count = 0;
  const stop = onCall(Authenticator.prototype, 'recheck', (identities) => {
    count += (identities as readonly Identity[]).length;
  });
  await fixture.api.serving?.rights.sweep();
  stop();
  return count;
}

/** Resolves once somebody is signed in on a session. */
function signedIn(): Promise<void> {
  return new Promise((resolve) => {
    const stop = onCall(Session.prototype, 'signIn', () => {
      stop();
      resolve();
    });
  });
}

test('one that is open is compared', async () => {
  await fixture.signIn();
  expect(await compared()).toBe(1);
});

test('one whose sign-in ended after the socket is not', async () => {
  const client = await fixture.connect();
  const held = hold(Passwords.prototype, 'isRight', { afterwards: true });
  client.call('session.signIn', ADMIN).catch(() => undefined);
  await held.reached;
  await cut(client);
  const over = signedIn();
  held.release();
  await over;
  expect(await compared()).toBe(0);
});

test('one whose comparison ended after the socket is not compared again', async () => {
  const client = await fixture.signIn();
  await nothingUnderWay();
  const held = hold(Authenticator.prototype, 'recheck', { afterwards: true });
  const sweep = fixture.api.serving?.rights.sweep();
  await held.reached;
  await cut(client);
  held.release();
  await sweep;
  expect(await compared()).toBe(0);
});
