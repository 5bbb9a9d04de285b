/** Two servers, one database, two administrators: each takes the right of the other's away in the same moment. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { usersOf } from '../../src/http/serving.js';
import { resolveLimits } from '../../src/limits.js';
import type { Database, RecordCollection } from '../../src/rpc/database-port.js';
import type { Users } from '../../src/session/users.js';
import { ADMIN, ApiFixture } from '../api-fixture.js';

let fixture: ApiFixture;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { throttlingDelayMs: 0 } });
});
afterAll(async () => fixture?.stop());

/** Lets nobody pass before `count` have come. */
function gate(count: number): () => Promise<void> {
  let arrived = 0;
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    if (++arrived >= count) open();
    return opened;
  };
}

/** The users as one server has them, which comes to the gate before its first write. */
function usersBehind(pass: () => Promise<void>): Users {
  const { database } = fixture.store;
  const real = database.collection('user');
  let first: Promise<void> | undefined;
  const collection = new Proxy<RecordCollection>(real, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const isWrite = name === 'update' || name === 'remove';
      return async (...args: unknown[]): Promise<unknown> => {
        if (isWrite) await (first ??= pass());
        return Reflect.apply(value, target, args);
      };
    },
  });
  const behind = { collection: () => collection } as unknown as Database;
  return usersOf(behind, resolveLimits({ passwordMemoryKiB: 8192 }));
}

async function administrators(): Promise<string[]> {
  const found = await fixture.store.database.collection('user').find({ permission: 'admin' });
  return found.map(({ id }) => id);
}

/** Not by the API: the first one may be gone by now. */
async function another(): Promise<string> {
  const user = { email: `${randomUUID()}@example.org`, permission: 'admin', groups: [] };
  return fixture.store.database.collection('user').add(user);
}

const LOWER = (users: Users, id: string) => users.set(id, { permission: 'write' });
const REMOVE = (users: Users, id: string) => users.remove(id);

test('an administrator whose change is refused stays one', async () => {
  const { database } = fixture.store;
  const [, ...more] = await administrators();
  for (const id of more) await database.collection('user').remove(id);
  const id = await another();
  const users = usersOf(database, resolveLimits({ passwordMemoryKiB: 8192 }));
  const change = { permission: 'read', email: ADMIN.email } as const;
  await expect(users.set(id, change)).rejects.toMatchObject({ code: 'UNIQUE_CONFLICT' });
  expect(await users.byId(id)).toMatchObject({ permission: 'admin' });
});

describe('one administrator stays', () => {
  test.each([
    ['both are lowered', LOWER, LOWER],
    ['one is lowered, the other one deleted', LOWER, REMOVE],
    ['both are deleted', REMOVE, REMOVE],
  ])('where %s by two servers at once', async (_, onOne, onOther) => {
    const [one = '', ...more] = await administrators();
    for (const id of more) await fixture.store.database.collection('user').remove(id);
    const other = await another();

    const pass = gate(2);
    const outcomes = await Promise.allSettled([
      onOne(usersBehind(pass), one),
      onOther(usersBehind(pass), other),
    ]);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const outcome of refused) {
      expect(outcome).toMatchObject({
        reason: {
          code: 'FORBIDDEN_OPERATION',
          data: { reason: 'the last administrator stays one' },
        },
      });
    }
    const left = await administrators();
    expect(left.length).toBe(refused.length);
  });
});
