/** What one comparison of all sessions with the database reads. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Tokens } from '../../src/session/tokens.js';
import { Users } from '../../src/session/users.js';
import { ApiFixture } from '../api-fixture.js';
import { onCall } from '../held-work.js';

let fixture: ApiFixture;
beforeEach(async () => {
  fixture = await ApiFixture.start();
});
afterEach(() => fixture.stop());

test('each user and each token once, however many sockets they have; and all stay signed in', async () => {
  const user = await fixture.userWith('read');
  const token = await user.call<string>('token.create', {});
  const sockets = await Promise.all(Array.from({ length: 5 }, () => fixture.signIn({ token })));
  const ids = { users: [] as string[], tokens: [] as string[] };
  // One that the timer began would be shared.
  await fixture.api.serving?.rights.sweep();
  const stopUsers = onCall(Users.prototype, 'byIds', (first) => {
    ids.users.push(...(first as string[]));
  });
  const stopTokens = onCall(Tokens.prototype, 'byIds', (first) => {
    ids.tokens.push(...(first as string[]));
  });
  await fixture.api.serving?.rights.sweep();
  stopUsers();
  stopTokens();
  expect(ids.users.filter((id) => id === user.userId)).toHaveLength(1);
  expect(ids.tokens).toHaveLength(1);
  for (const socket of [user, ...sockets]) {
    expect(await socket.call('session.getUser')).toMatchObject({ id: user.userId });
  }
});
