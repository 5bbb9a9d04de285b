/** Users whose records somebody changed in Redis, who has no key. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ADMIN, ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture;
let admin: RpcClient;
beforeEach(async () => {
  fixture = await ApiFixture.start({ limits: { throttlingDelayMs: 0 } });
  admin = await fixture.signIn();
});
afterEach(async () => fixture?.stop());

const keyOf = (id: string): string => `vault:{user}:r:${id}`;
const LAST = { code: 5, data: { reason: 'the last administrator stays one' } };

async function ownId(): Promise<string> {
  return (await admin.call<{ id: string }>('session.getUser')).id;
}

test.each([
  [
    'a byte of it is another',
    (bytes: Buffer) =>
      Buffer.from(bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte))),
  ],
  ['it is no envelope at all', () => Buffer.from('rubbish')],
  ['it is empty', () => Buffer.alloc(0)],
])(
  'a user whose record cannot be read, since %s, is deleted by id and made again',
  async (_, tamper) => {
    const email = 'tampered@example.org';
    const id = await admin.call<string>('user.create', { email, password: 'long enough' });
    const redis = fixture.store.redis.client();
    const bytes = await redis.getBuffer(keyOf(id));
    await redis.set(keyOf(id), tamper(bytes ?? Buffer.alloc(0)));
    await expect(fixture.signIn({ email, password: 'long enough' })).rejects.toMatchObject({
      code: 3,
    });
    expect(await admin.call('user.delete', { id })).toBe(true);
    await admin.call('user.create', { email, password: 'long enough' });
    await fixture.signIn({ email, password: 'long enough' });
  },
);

test('a demoted administrator whose old envelope was put back is removable at once', async () => {
  const other = await fixture.userWith('admin');
  const redis = fixture.store.redis.client();
  const old = await redis.getBuffer(keyOf(other.userId));
  await admin.call('user.set', { id: other.userId, permission: 'none' });
  await redis.set(keyOf(other.userId), old ?? '');
  expect(await admin.call('user.delete', { id: other.userId })).toBe(true);
  expect(await other.closed).toBe(4001);
});

test('index entries that were taken away make nobody the last administrator', async () => {
  const other = await fixture.userWith('admin');
  const redis = fixture.store.redis.client();
  for (const key of await redis.keys('vault:{user}:i:permission:*')) await redis.del(key);
  expect(await admin.call('user.set', { id: other.userId, permission: 'write' })).toBe(true);
});

test('an index entry that was planted makes nobody an administrator', async () => {
  const other = await fixture.userWith('write');
  const redis = fixture.store.redis.client();
  for (const key of await redis.keys('vault:{user}:i:permission:*')) {
    await redis.sadd(key, other.userId);
  }
  const lowered = admin.call('user.set', { id: await ownId(), permission: 'write' });
  await expect(lowered).rejects.toMatchObject(LAST);
});

test('an administrator whose record cannot be read does not count', async () => {
  const other = await fixture.userWith('admin');
  await fixture.store.redis.client().set(keyOf(other.userId), 'rubbish');
  const lowered = admin.call('user.set', { id: await ownId(), permission: 'write' });
  await expect(lowered).rejects.toMatchObject(LAST);
  await fixture.signIn(ADMIN);
});
