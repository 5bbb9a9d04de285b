import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';
import { usersOf } from '../../src/http/serving.js';
import { resolveLimits } from '../../src/limits.js';
import {
  ensureFirstAdministrator,
  FIRST_ADMINISTRATOR_EMAIL,
} from '../../src/session/first-administrator.js';
import type { Users } from '../../src/session/users.js';
import { openTestDatabase } from '../test-database.js';
import type { TestDatabase } from '../test-database.js';

let store: TestDatabase;
let users: Users;
beforeEach(async () => {
  store = await openTestDatabase(BUILTIN_COLLECTIONS);
  users = usersOf(store.database, resolveLimits({ passwordMemoryKiB: 8192 }));
});
afterEach(async () => store?.stop());

test('is made once, with a random password that nobody else gets', async () => {
  const created = await ensureFirstAdministrator(store.database, users);
  expect(created).toEqual({
    email: FIRST_ADMINISTRATOR_EMAIL,
    generatedPassword: expect.stringMatching(/^[A-Za-z0-9_-]{24}$/),
  });
  expect(await users.byEmail(FIRST_ADMINISTRATOR_EMAIL)).toMatchObject({ permission: 'admin' });
  expect(await ensureFirstAdministrator(store.database, users)).toBeUndefined();
  expect(await store.everythingStored()).not.toContain(created?.generatedPassword);
});

test('has the name and password that were given, and then no generated one', async () => {
  const given = { email: 'root@example.org', password: 'correct horse battery' };
  expect(await ensureFirstAdministrator(store.database, users, given)).toEqual({
    email: given.email,
    generatedPassword: undefined,
  });
  expect(await users.byEmail(given.email)).toMatchObject({ permission: 'admin' });
});

test('does not come back when somebody deletes the users in Redis', async () => {
  await ensureFirstAdministrator(store.database, users);
  const client = store.redis.client();
  for (const key of await client.keys('vault:{user}:[riu]*')) await client.del(key);
  expect(await users.byEmail(FIRST_ADMINISTRATOR_EMAIL)).toBeUndefined();
  expect(await ensureFirstAdministrator(store.database, users)).toBeUndefined();
  expect(await users.byEmail(FIRST_ADMINISTRATOR_EMAIL)).toBeUndefined();
});

test('gets a new password when the first start died before it could say the old one', async () => {
  // The record was written, the seal was not: the state between two steps.
  await users.create({
    email: FIRST_ADMINISTRATOR_EMAIL,
    permission: 'admin',
    password: 'never shown',
  });
  const created = await ensureFirstAdministrator(store.database, users);
  expect(created?.generatedPassword).toHaveLength(24);
  expect(await users.page(undefined, 10)).toHaveLength(1);
});

test('is not taken for known before the password is kept', async () => {
  const full = new Error('no space left');
  const refused = ensureFirstAdministrator(store.database, users, {
    keepPassword: () => Promise.reject(full),
  });
  await expect(refused).rejects.toBe(full);
  const kept: string[] = [];
  const keepPassword = async (password: string) => void kept.push(password);
  const created = await ensureFirstAdministrator(store.database, users, { keepPassword });
  expect(kept).toEqual([created?.generatedPassword]);
});

test('is not made where another administrator is there already', async () => {
  await users.create({ email: 'root@example.org', permission: 'admin', password: 'their own' });
  expect(await ensureFirstAdministrator(store.database, users)).toBeUndefined();
  expect(await users.byEmail(FIRST_ADMINISTRATOR_EMAIL)).toBeUndefined();
  expect(store.database.isBootstrapped).toBe(true);
});
