/** Who is told of changes, and what it costs. */
import { afterEach, expect, test } from '@jest/globals';
import type { JsonObject } from '../../src/protocol.js';
import { ApiFixture } from '../api-fixture.js';

let fixture: ApiFixture | undefined;
afterEach(async () => {
  await fixture?.stop();
  fixture = undefined;
});

/** An object that counts how often it is written as JSON. */
function counted(type: string): { readonly object: JsonObject; readonly times: () => number } {
  let times = 0;
  const written = {
    type,
    toJSON: () => {
      times += 1;
      return { type };
    },
  };
  return { object: written as unknown as JsonObject, times: () => times };
}

test('a change is written once for all who see the same, and each scope sees its own', async () => {
  fixture = await ApiFixture.start();
  const api = fixture;
  const admin = await api.signIn();
  const scoped = async (collections: readonly string[]) => {
    const scope = { collections };
    const token = await admin.call<string>('token.create', { scope });
    return api.signIn({ token });
  };
  const all = [admin, await api.signIn(), await api.userWith('read')];
  const servers = [await scoped(['server', 'remote']), await scoped(['remote', 'server'])];
  const others = await scoped(['secret']);
  const none = await api.userWith('none');
  const { object, times } = counted('server');

  api.api.serving?.services.changes.enter('1', object);
  api.api.serving?.services.changes.exit('2');

  const entered = { method: 'all', params: { type: 'enter', items: { 1: { type: 'server' } } } };
  const left = { method: 'all', params: { type: 'exit', items: { 2: 0 } } };
  for (const client of [...all, ...servers]) {
    expect(await client.notified(2)).toMatchObject([entered, left]);
  }
  expect(await others.notified(1)).toMatchObject([left]);
  expect(await none.call('session.getUser')).not.toBeNull();
  expect(none.notifications).toEqual([]);
  // Once for those without a scope, once for the two with the same.
  expect(times()).toBe(2);
});
