/** The Redis that users have: one server by socket, TCP, TLS, with a password or an ACL user; a cluster; sentinels. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from '@jest/globals';
import { RedisCluster } from '../../../test/harness/redis-cluster.js';
import { RedisSentinel } from '../../../test/harness/redis-sentinel.js';
import { RedisServer } from '../../../test/harness/redis.js';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import { TlsFiles } from '../../../test/harness/tls.js';
import { KeyNames } from '../src/redis/key-names.js';
import { RedisLink } from '../src/redis/redis-link.js';
import { linkStore, newKey, SERVER } from './store-fixture.js';

let cleanups: (() => Promise<void>)[] = [];
function stopAfter<T extends { stop(): Promise<void> }>(thing: T): T {
  cleanups.unshift(() => thing.stop());
  return thing;
}
afterEach(async () => {
  for (const stop of cleanups) {
    // oxlint-disable-next-line no-await-in-loop -- what was started last is stopped first
    await stop();
  }
  cleanups = [];
});

const XCP = { host: 'xcp-1', username: 'root', password: 'p' };
const { host: _unique, ...EXACT_INDEXES } = SERVER.indexes;
const SPREAD = { ...SERVER, indexes: EXACT_INDEXES, partitions: 16 };

/** Adds, finds, changes, lists and removes. */
async function workOn(servers: Awaited<ReturnType<typeof linkStore>>['servers']): Promise<void> {
  const id = await servers.add(XCP);
  expect((await servers.find({ username: 'ROOT' })).map((found) => found.id)).toEqual([id]);
  await servers.set(id, { label: 'l' });
  expect((await servers.list()).records.map(({ record }) => record)).toEqual([
    { ...XCP, label: 'l' },
  ]);
  expect(await servers.remove(id)).toBe(true);
  expect(await servers.count()).toBe(0);
}

describe('one server', () => {
  test('by TCP with a password, in a numbered database, under a prefix, beside another application', async () => {
    const redis = stopAfter(await RedisServer.start({ listen: 'tcp', password: 'hunter2hunter2' }));
    const other = redis.client({ db: 3 });
    await other.mset('other:{server}:ids', 'mine', 'vault2', 'mine');
    const url = `redis://:hunter2hunter2@127.0.0.1:${redis.port}/3`;
    const store = stopAfter(await linkStore({ url }, newKey(), SERVER, 'team-a.vault'));
    await workOn(store.servers);
    const keys = await other.keys('*');
    expect(keys.toSorted()).toEqual(['other:{server}:ids', 'team-a.vault:{server}:meta', 'vault2']);
  });

  test('over TLS with a client certificate', async () => {
    const tls = stopAfter(await TlsFiles.create());
    const redis = stopAfter(await RedisServer.start({ listen: 'tcp', tls }));
    const url = `rediss://127.0.0.1:${redis.port}`;
    const ca = readFileSync(tls.caFile, 'utf8');
    const own = {
      cert: readFileSync(tls.clientCertFile, 'utf8'),
      key: readFileSync(tls.clientKeyFile, 'utf8'),
    };
    const store = stopAfter(await linkStore({ url, tls: { ca, ...own } }, newKey()));
    await workOn(store.servers);
    const names = new KeyNames();
    const withoutCertificate = RedisLink.connect(
      { url, tls: { ca }, maxRetriesPerRequest: 1 },
      names,
    );
    await expect(withoutCertificate).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
    const untrusted = RedisLink.connect({ url, tls: own, maxRetriesPerRequest: 1 }, names);
    await expect(untrusted).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
  });

  test('says what is wrong when it is not there, wants a password, or gets a wrong one', async () => {
    const redis = stopAfter(await RedisServer.start({ listen: 'tcp', password: 'hunter2hunter2' }));
    const names = new KeyNames();
    const at = (auth: string): Promise<unknown> =>
      RedisLink.connect(
        { url: `redis://${auth}127.0.0.1:${redis.port}`, maxRetriesPerRequest: 1 },
        names,
      );
    await expect(at('')).rejects.toMatchObject({ code: 'REDIS_REFUSED', reply: 'NOAUTH' });
    await expect(at(':marker-wrong@')).rejects.toMatchObject({
      code: 'REDIS_REFUSED',
      reply: 'WRONGPASS',
    });
    await expect(at(':marker-wrong@')).rejects.not.toThrow(/marker/);
    await redis.stop();
    await expect(at(':hunter2hunter2@')).rejects.toThrow(
      /^Redis cannot be reached \(ECONNREFUSED\): check/,
    );
  });

  test('refuses writes when it is out of memory, with advice, and has changed nothing', async () => {
    const redis = stopAfter(await RedisServer.start());
    const store = stopAfter(await linkStore({ socketPath: redis.socketPath ?? '' }, newKey()));
    const id = await store.servers.add(XCP);
    await redis.client().config('SET', 'maxmemory', '1');
    await expect(store.servers.set(id, { label: 'l' })).rejects.toMatchObject({ reply: 'OOM' });
    await expect(store.servers.add({ host: 'b' })).rejects.toThrow(/maxmemory/);
    expect((await store.servers.get(id))?.record).toEqual(XCP);
    await redis.client().config('SET', 'maxmemory', '0');
    expect(await store.servers.count()).toBe(1);
  });

  test.each(['swallow', 'cut'] as const)(
    'a write whose answer is lost (%s) is sent again and counts once',
    async (verdict) => {
      const redis = stopAfter(await RedisServer.start());
      const proxy = stopAfter(await TcpProxy.start({ target: { path: redis.socketPath ?? '' } }));
      const store = stopAfter(await linkStore({ url: proxy.url }, newKey()));
      const id = await store.servers.add(XCP);
      let isArmed = true;
      proxy.intercept = ({ direction, frame }) => {
        if (!isArmed || direction !== 'reply' || !frame.includes('ALL')) return 'pass';
        isArmed = false;
        // A swallowed answer alone would be waited for; the cut that follows makes the client send again.
        setImmediate(() => proxy.cutAll());
        return verdict;
      };
      await store.servers.update(id, (record) => ({
        ...record,
        port: Number(record['port'] ?? 0) + 1,
      }));
      expect(isArmed).toBe(false);
      expect((await store.servers.get(id))?.record['port']).toBe(1);
    },
  );

  test('comes back by itself after Redis was killed and restarted', async () => {
    const redis = stopAfter(await RedisServer.start({ appendonly: true }));
    const store = stopAfter(await linkStore({ socketPath: redis.socketPath ?? '' }, newKey()));
    const id = await store.servers.add(XCP);
    await redis.kill();
    const reading = store.servers.get(id);
    await redis.restart();
    expect((await reading)?.record).toEqual(XCP);
    await workOn((await store.servers.remove(id), store.servers));
  });
});

describe('a Redis Cluster of three masters and three replicas', () => {
  test('spreads the partitions of one collection, and follows slots that move', async () => {
    const cluster = stopAfter(await RedisCluster.start());
    const store = stopAfter(await linkStore({ cluster: cluster.addresses }, newKey(), SPREAD));
    await workOn(store.servers);
    const ids = await Promise.all(
      Array.from({ length: 100 }, (_, i) => store.servers.add({ host: `h${i}`, username: 'u' })),
    );
    const perMaster = await Promise.all(
      cluster.masters.map((master) => master.client().keys('vault:{server.*}:ids')),
    );
    expect(perMaster.flat()).toHaveLength(16);
    expect(perMaster.filter((keys) => keys.length > 0).length).toBeGreaterThan(1);
    expect(await store.link.masters()).toHaveLength(3);

    const [from, to] = cluster.masters as readonly [RedisServer, RedisServer];
    const moved = perMaster[0]?.[0] ?? '';
    const slot = Number(await from.client().call('CLUSTER', 'KEYSLOT', moved));
    await cluster.moveSlot(slot, from, to);
    expect((await store.servers.find({ username: 'u' })).map(({ id }) => id)).toEqual(
      ids.toSorted(),
    );
    await Promise.all(ids.map((id) => store.servers.set(id, { label: 'after' })));
    expect(await store.servers.count()).toBe(100);
    // A redirection is an answer, too: the command was not executed, and is no repetition.
    await cluster.moveSlot(slot, to, from);
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => store.servers.add({ host: `m${i}`, username: 'm' })),
    );
    expect(await store.servers.count()).toBe(200);
  });

  test('keeps a unique value unique, and frees it of a record that is gone', async () => {
    const cluster = stopAfter(await RedisCluster.start());
    const store = stopAfter(await linkStore({ cluster: cluster.addresses }, newKey()));
    const id = await store.servers.add(XCP);
    await expect(store.servers.add(XCP)).rejects.toMatchObject({ holderId: id });
    // As one that was deleted unread leaves its entry; the script asks for a key that it was not given.
    await cluster.client().del(`vault:{server}:r:${id}`);
    await store.servers.add(XCP, { id: 'again' });
    expect((await store.servers.get('again'))?.record).toEqual(XCP);
  });
});

describe('three sentinels', () => {
  test('a failover in the middle of writes loses no acknowledged record and needs no restart', async () => {
    const sentinel = stopAfter(await RedisSentinel.start());
    const store = stopAfter(
      await linkStore(
        {
          sentinels: sentinel.addresses,
          sentinelName: sentinel.name,
          maxRetriesPerRequest: 20,
        },
        newKey(),
      ),
    );
    await workOn(store.servers);
    const before = await Promise.all(
      Array.from({ length: 50 }, (_, i) => store.servers.add({ host: `a${i}` })),
    );
    await sentinel.failOver();
    const after = await store.servers.add({ host: 'after' });
    const listed = (await store.servers.list({ limit: 100 })).records.map(({ id }) => id);
    expect(listed).toEqual([...before, after].toSorted());
  });
});
