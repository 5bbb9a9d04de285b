/** Writes of a partition, many in one call: types are checked before anything is written. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { documentedAcl } from '../../../test/harness/documented-acl.js';
import { RedisServer } from '../../../test/harness/redis.js';
import { KeyNames } from '../src/redis/key-names.js';
import { Partition } from '../src/partitions/partition.js';
import type { WriteOp } from '../src/partitions/partition.js';
import { RedisLink } from '../src/redis/redis-link.js';

const FENCE = 'the fence';
const TOKEN = 'A'.repeat(22);
let redis: RedisServer;
let client: Redis;
let link: RedisLink;
let partition: Partition;
beforeAll(async () => {
  redis = await RedisServer.start();
  client = redis.client();
  link = await RedisLink.connect({ socketPath: redis.socketPath ?? '' }, new KeyNames());
  partition = new Partition(link, 'server', 'server');
});
afterAll(async () => {
  await link.close();
  await redis.stop();
});
beforeEach(async () => {
  await client.flushall();
  await client.set('vault:{server}:meta', FENCE);
});

const entry = (index: string, kind: 'exact' | 'unique' = 'exact') => ({
  kind,
  index,
  token: TOKEN,
});
function put(id: string, changes: Partial<WriteOp> = {}): WriteOp {
  return {
    id,
    expected: null,
    value: Buffer.from(`new ${id}`),
    add: [entry('host')],
    remove: [],
    ...changes,
  };
}

/** What of another type stands where, and an operation that meets it. */
const PLANTED: Readonly<Record<string, { readonly key: string; readonly op: WriteOp }>> = {
  'the record': { key: 'vault:{server}:r:2', op: put('2') },
  'an entry to add': {
    key: `vault:{server}:i:label:${TOKEN}`,
    op: put('2', { add: [entry('label')] }),
  },
  'an entry to remove': {
    key: `vault:{server}:i:label:${TOKEN}`,
    op: put('2', { remove: [entry('label')] }),
  },
  'a unique entry': {
    key: `vault:{server}:u:label:${TOKEN}`,
    op: put('2', { add: [entry('label', 'unique')] }),
  },
  'the key that never exists': { key: 'vault:{server}:none', op: put('2') },
};
const withEffect = Object.entries(PLANTED).filter(([, { key }]) => !key.endsWith(':none'));

describe.each([1, 3])('a call of %i operations', (count) => {
  const ops = (op: WriteOp): WriteOp[] => [op, put('1'), put('3')].slice(0, count).toReversed();

  test.each(withEffect)(
    'that meets another type in place of %s writes nothing',
    async (_, { key, op }) => {
      await client.hset(key, 'planted', 1);
      await expect(partition.apply(FENCE, ops(op))).rejects.toMatchObject({
        reply: 'WRONGTYPE',
        message: expect.stringContaining(key),
      });
      expect((await client.keys('*')).toSorted()).toEqual([key, 'vault:{server}:meta'].toSorted());
    },
  );

  test('does not mind what somebody planted under the name that never exists', async () => {
    for (const plant of [
      () => client.hset('vault:{server}:none', 'planted', 1),
      () => client.sadd('vault:{server}:none', '2', 'planted'),
    ]) {
      // oxlint-disable no-await-in-loop -- one after the other
      await client.flushall();
      await client.set('vault:{server}:meta', FENCE);
      await plant();
      const results = await partition.apply(FENCE, ops(put('2')));
      expect(results).toEqual(results.map(() => ({ status: 'done' })));
      expect(await client.smembers(`vault:{server}:i:host:${TOKEN}`)).toHaveLength(count);
      // oxlint-enable no-await-in-loop
    }
  });

  test('says of each what became of it', async () => {
    await client.set('vault:{server}:r:2', 'of another writer');
    const results = await partition.apply(FENCE, ops(put('2')));
    expect(results.at(-1)).toEqual({ status: 'changed' });
    expect(results.slice(0, -1)).toEqual(results.slice(1).map(() => ({ status: 'done' })));
    expect(await client.get('vault:{server}:r:2')).toBe('of another writer');
    expect(await client.zrange('vault:{server}:ids', '0', '-1')).toHaveLength(count - 1);
  });
});

test('of two operations on one record in one call the second is refused', async () => {
  const results = await partition.apply(FENCE, [
    put('1'),
    put('1', { value: Buffer.from('other') }),
  ]);
  expect(results).toEqual([{ status: 'done' }, { status: 'changed' }]);
  expect(await client.get('vault:{server}:r:1')).toBe('new 1');
});

test('records of any bytes and ids of any characters are written as they are', async () => {
  const ids = ['é\n"\u{1F511}', ' ', '\u0000', 'x'.repeat(2000)];
  const value = Buffer.from(Array.from({ length: 512 }, (_, n) => n % 256));
  const ops = ids.map((id) => put(id, { value }));
  expect(await partition.apply(FENCE, ops)).toEqual(ids.map(() => ({ status: 'done' })));
  for (const id of ids) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect((await partition.read(id))?.equals(value)).toBe(true);
  }
  const removals = ids.map((id) =>
    put(id, { expected: value, value: null, add: [], remove: [entry('host')] }),
  );
  expect(await partition.apply(FENCE, removals)).toEqual(ids.map(() => ({ status: 'done' })));
  expect(await client.keys('*')).toEqual(['vault:{server}:meta']);
});

test('a unique entry is judged by the record that it names, with no more rights than docs/redis.md gives', async () => {
  await client.call('ACL', 'SETUSER', 'vault', ...documentedAcl('password'));
  const socketPath = redis.socketPath ?? '';
  const limited = await RedisLink.connect(
    { socketPath, username: 'vault', password: 'password', maxRetriesPerRequest: 1 },
    new KeyNames(),
  );
  try {
    const least = new Partition(limited, 'server', 'server');
    const claim = (id: string): WriteOp => put(id, { add: [entry('host', 'unique')] });
    // Left over from a record that was deleted unread.
    await client.set(`vault:{server}:u:host:${TOKEN}`, 'gone');
    expect(await least.apply(FENCE, [claim('1')])).toEqual([{ status: 'done' }]);
    const held = { status: 'unique', index: 'host', holderId: '1' };
    expect(await least.apply(FENCE, [claim('2')])).toEqual([held]);
    expect(await client.get(`vault:{server}:u:host:${TOKEN}`)).toBe('1');
  } finally {
    await limited.close();
  }
});
