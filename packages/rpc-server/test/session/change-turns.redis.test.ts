/** Whose change of users comes next, where somebody sends as many as they can. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Collection } from '@vault/redis-store';
import { Authenticator } from '../../src/session/authenticator.js';
import type { Rechecked } from '../../src/session/authenticator.js';
import { Users } from '../../src/session/users.js';
import { ApiFixture } from '../api-fixture.js';
import { hold } from '../held-work.js';
import type { RpcClient } from '../rpc-client.js';

const FLOOD = Array.from({ length: 15 }, () => 'flood');

let fixture: ApiFixture;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { throttlingDelayMs: 0 } });
});
afterAll(async () => fixture?.stop());

type Work = (this: Users, ...args: unknown[]) => Promise<unknown>;
type Recheck = (this: Authenticator, checked: readonly Rechecked[]) => Promise<unknown>;
type Update = (this: { readonly name?: string }, ...args: unknown[]) => Promise<Updated>;
interface Updated {
  readonly record: { readonly preferences?: { readonly by?: string } };
}

/** Who wrote users, in order, as their preferences say. */
function writers(): { readonly order: string[]; readonly stop: () => void } {
  const target = Collection.prototype as unknown as { update: Update };
  const { update } = target;
  const order: string[] = [];
  target.update = async function watched(...args) {
    const updated = await update.apply(this, args);
    if (this.name === 'user') order.push(updated.record.preferences?.by ?? '');
    return updated;
  };
  const stop = (): void => {
    target.update = update;
  };
  return { order, stop };
}

/** Resolves once so many changes were asked for. */
function changesAsked(count: number): Promise<void> {
  const target = Users.prototype as unknown as { set: Work };
  const { set } = target;
  return new Promise((resolve) => {
    let left = count;
    target.set = function watched(...args) {
      left -= 1;
      const changed = set.apply(this, args);
      if (left === 0) {
        target.set = set;
        resolve();
      }
      return changed;
    };
  });
}

const call = (id: string, by: string) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'user.set',
  params: { id, preferences: { by } },
});

/** In which order it is written, where a flood was asked for before. */
async function orderBehindFlood(
  attacker: RpcClient,
  attackerId: string,
  other: RpcClient,
  otherId: string,
): Promise<readonly string[]> {
  const { order, stop } = writers();
  const held = hold(Collection.prototype, 'update', { of: 'user' });
  const sent = changesAsked(FLOOD.length);
  const flood = FLOOD.map((by) => call(attackerId, by));
  const flooded = attacker.exchange(JSON.stringify(flood));
  await Promise.all([sent, held.reached]);
  const asked = changesAsked(1);
  const changed = other.exchange(JSON.stringify(call(otherId, 'other')));
  await asked;
  // What was asked for in a turn of the event loop is in its line by the next.
  await new Promise(setImmediate);
  held.release();
  await Promise.all([flooded, changed]);
  stop();
  return order;
}

test('an administrator waits for one change of a user without permissions', async () => {
  const attacker = await fixture.userWith('none');
  const victim = await fixture.userWith('read');
  const admin = await fixture.signIn();
  const order = await orderBehindFlood(attacker, attacker.userId, admin, victim.userId);
  expect(order).toEqual(['flood', 'other', ...FLOOD.slice(1)]);
});

test('who has the password waits for the change under way and one more of a stolen token', async () => {
  const owner = await fixture.userWith('none');
  const thief = await fixture.signIn({ token: await owner.call<string>('token.create', {}) });
  const order = await orderBehindFlood(thief, owner.userId, owner, owner.userId);
  expect(order).toEqual(['flood', 'flood', 'other', ...FLOOD.slice(2)]);
});

test('a change compares the sessions of its user alone, which get it at once', async () => {
  const user = await fixture.userWith('none');
  const token = await user.call<string>('token.create', {});
  const again = await fixture.signIn({ token });
  await fixture.userWith('read');
  const target = Authenticator.prototype as unknown as { recheck: Recheck };
  const { recheck } = target;
  const compared: string[] = [];
  target.recheck = function watched(checked) {
    compared.push(...checked.map(({ identity }) => identity.userId));
    return recheck.call(this, checked);
  };
  await user.call('user.set', { id: user.userId, preferences: { theme: 'dark' } });
  target.recheck = recheck;
  expect(new Set(compared)).toEqual(new Set([user.userId]));
  expect(await again.call('session.getUser')).toMatchObject({ preferences: { theme: 'dark' } });
});
