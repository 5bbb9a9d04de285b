import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ADMIN, ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture;
beforeAll(async () => {
  // A pause that tests can wait for.
  fixture = await ApiFixture.start({ limits: { throttlingDelayMs: 300 } });
});
afterAll(async () => fixture?.stop());

const GUESS = { email: ADMIN.email, password: 'a guess' };

/** Guesses on one socket, sixteen under way at any time, until it is told to end. */
function attack(client: RpcClient): { readonly end: () => Promise<void> } {
  const state = { isOver: false };
  const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.signIn', params: GUESS });
  const lines = Array.from({ length: 16 }, async () => {
    // oxlint-disable-next-line no-await-in-loop -- the next guess follows the answer to the last
    while (!state.isOver) await client.exchange(text).catch(() => undefined);
  });
  return {
    end: async () => {
      state.isOver = true;
      client.socket.terminate();
      await Promise.all(lines);
    },
  };
}

test('guesses without end on one socket do not keep the right password out, nor the own password', async () => {
  const attacker = await fixture.connect();
  const { end } = attack(attacker);
  try {
    for (let i = 0; i < 3; i++) {
      const client = await fixture.connect();
      expect(await client.call('session.signIn', ADMIN)).toMatchObject({ email: ADMIN.email });
      const { id } = await client.call<{ id: string }>('session.getUser');
      const wrong = { id, password: 'another one', currentPassword: 'wrong' };
      await expect(client.call('user.set', wrong)).rejects.toMatchObject({ code: 3 });
    }
  } finally {
    await end();
  }
});

test('nor do guesses on a socket each, from the address of who signs in', async () => {
  const attackers = await Promise.all(
    Array.from({ length: 10 }, async () => attack(await fixture.connect())),
  );
  try {
    const client = await fixture.connect();
    expect(await client.call('session.signIn', ADMIN)).toMatchObject({ email: ADMIN.email });
  } finally {
    await Promise.all(attackers.map(({ end }) => end()));
  }
});

test('a throttled try is audited, and is no unexpected error', async () => {
  const client = await fixture.connect();
  const { end } = attack(client);
  const other = await fixture.connect();
  await other.call('session.signIn', ADMIN);
  await end();
  expect(fixture.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  expect(fixture.logger.text).not.toContain('unexpected');
  const actions = fixture.logger.lines.map(({ data }) => data['action']);
  expect(actions).toContain('sign-in throttled');
});

test('who waits for a turn does not hold the stop of the server up', async () => {
  const own = await ApiFixture.start({
    limits: { throttlingDelayMs: 60_000, throttledWaitMs: 60_000 },
  });
  const client = await own.connect();
  await expect(client.call('session.signIn', GUESS)).rejects.toMatchObject({ code: 3 });
  const call = { jsonrpc: '2.0', id: 2, method: 'session.signIn', params: ADMIN };
  client.socket.send(JSON.stringify(call));
  // Answered before the sign-in, which was sent before it: that waits.
  const version = { jsonrpc: '2.0', id: 3, method: 'system.getVersion' };
  expect(await client.exchange(JSON.stringify(version))).toContain('"id":3');
  const refused = client.frame();
  await own.stop();
  expect(JSON.parse(await refused)).toMatchObject({ id: 2, error: { code: -32005 } });
});
