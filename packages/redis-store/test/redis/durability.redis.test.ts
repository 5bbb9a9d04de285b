/** What is safe on disks and replicas, and what is not, of real servers that are killed, stopped, cut off and replaced. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { Resources } from '../../../../test/harness/resources.js';
import { RedisCluster } from '../../../../test/harness/redis-cluster.js';
import { RedisSentinel } from '../../../../test/harness/redis-sentinel.js';
import { redisPrograms } from '../../../../test/harness/redis-servers.js';
import { RedisServer } from '../../../../test/harness/redis.js';
import { TcpProxy } from '../../../../test/harness/tcp-proxy.js';
import { Durability } from '../../src/redis/durability.js';
import type { DurabilityGap, DurabilityNeed } from '../../src/redis/durability.js';
import { KeyNames } from '../../src/redis/key-names.js';
import { RedisLink } from '../../src/redis/redis-link.js';
import type { RedisOptions } from '../../src/redis/redis-options.js';

const APPENDING = ['appendonly yes', 'appendfsync everysec', 'repl-diskless-sync-delay 0'];
const NEEDS = ['floor', 'change', 'final'] as const satisfies readonly DurabilityNeed[];

const resources = new Resources();
afterEach(() => resources.stop());

async function connect(options: RedisOptions): Promise<RedisLink> {
  const link = await RedisLink.connect(options, new KeyNames());
  resources.use({ stop: () => link.close() });
  return link;
}

const ofServer = (server: RedisServer): RedisOptions =>
  server.port === undefined ? { socketPath: server.socketPath ?? '' } : { url: server.url };

/** Gives a replica that does not answer half that time. */
const IMPATIENT = { commandTimeoutMs: 2000 } as const;

async function gapsOf(link: RedisLink): Promise<readonly (DurabilityGap | undefined)[]> {
  const gaps: (DurabilityGap | undefined)[] = [];
  for (const need of NEEDS) {
    // oxlint-disable-next-line no-await-in-loop -- one question after the other
    gaps.push(await (await Durability.begin(link)).gap(need));
  }
  return gaps;
}

/** Waits until a server says so of its replication: it tells only when asked. */
async function untilReplicating(server: RedisServer, says: RegExp): Promise<void> {
  const client = server.client();
  while (!says.test(await client.info('replication')));
}

interface Pair {
  readonly master: RedisServer;
  readonly replica: RedisServer;
}

async function startPair(binary: string, replicaConfig = APPENDING): Promise<Pair> {
  const master = resources.use(
    await RedisServer.start({ binary, listen: 'tcp', config: APPENDING }),
  );
  const replica = resources.use(
    await RedisServer.start({
      binary,
      listen: 'tcp',
      config: [...replicaConfig, `replicaof 127.0.0.1 ${master.port}`],
    }),
  );
  await untilReplicating(master, /state=online/);
  return { master, replica };
}

const PROGRAMS = redisPrograms();
/** That of this machine, which may not know WAITAOF, and the newest that there is. */
const PAIRED = [
  ...new Set([PROGRAMS[0], PROGRAMS.findLast(({ name }) => name.startsWith('Redis'))]),
].filter((program) => program !== undefined);

describe.each(PROGRAMS)('$name', ({ binary }) => {
  test.each(['always', 'everysec'])('with appendfsync %s has all on disk', async (sync) => {
    const redis = resources.use(
      await RedisServer.start({ binary, config: ['appendonly yes', `appendfsync ${sync}`] }),
    );
    expect(await gapsOf(await connect(ofServer(redis)))).toEqual([undefined, undefined, undefined]);
  });

  test('that syncs nothing by itself is made to write its file anew, but for a floor', async () => {
    const redis = resources.use(
      await RedisServer.start({ binary, config: ['appendonly yes', 'appendfsync no'] }),
    );
    const [floor, ...others] = await gapsOf(await connect(ofServer(redis)));
    expect(floor).toMatchObject({ kind: 'never', why: expect.stringContaining('appendfsync') });
    expect(others).toEqual([undefined, undefined]);
  });

  test('that makes snapshots is made to make one', async () => {
    const redis = resources.use(await RedisServer.start({ binary, config: ['save 3600 1'] }));
    const link = await connect(ofServer(redis));
    await redis.client().set('vault:{server}:r:a', 'written');
    expect(await (await Durability.begin(link)).gap('final')).toBeUndefined();
    await redis.kill();
    await redis.restart();
    expect(await redis.client().get('vault:{server}:r:a')).toBe('written');
  });

  test('that keeps nothing on disk says what to set', async () => {
    const redis = resources.use(await RedisServer.start({ binary }));
    for (const gap of await gapsOf(await connect(ofServer(redis)))) {
      expect(gap).toMatchObject({ kind: 'never', why: expect.stringContaining('appendonly yes') });
    }
  });

  test('is asked again where it was restarted meanwhile', async () => {
    const redis = resources.use(await RedisServer.start({ binary, appendonly: true }));
    const durability = await Durability.begin(await connect(ofServer(redis)));
    await redis.kill();
    await redis.restart();
    expect(await durability.hasChanged()).toBe(true);
    expect(await durability.gap('final')).toMatchObject({ kind: 'changed' });
  });
});

describe.each(PAIRED)('$name with a replica', ({ binary }) => {
  test('has all there too; one that stands still is named', async () => {
    const { master, replica } = await startPair(binary);
    const link = await connect(ofServer(master));
    expect(await gapsOf(link)).toEqual([undefined, undefined, undefined]);
    replica.pause();
    for (const gap of await gapsOf(await connect({ ...ofServer(master), ...IMPATIENT }))) {
      expect(gap).toMatchObject({ kind: 'pending', why: expect.stringContaining('lag behind') });
      expect(gap?.why).toContain(`127.0.0.1:${replica.port}`);
    }
    replica.resume();
    expect(await gapsOf(link)).toEqual([undefined, undefined, undefined]);
  }, 60_000);

  test('says so, where Redis can tell, when it keeps nothing on disk, before something is destroyed', async () => {
    const { master, replica } = await startPair(binary, ['repl-diskless-sync-delay 0']);
    const [floor, change, final] = await gapsOf(await connect(ofServer(master)));
    expect([floor, change]).toEqual([undefined, undefined]);
    const knowsWaitAof = await master
      .client()
      .call('COMMAND', 'INFO', 'waitaof')
      .then((reply) => (reply as unknown[])[0] !== null);
    const named = `127.0.0.1:${replica.port}) do not confirm that they have it on their disk`;
    expect(final?.why ?? '').toContain(knowsWaitAof ? named : '');
    expect(final?.kind).toBe(knowsWaitAof ? 'pending' : undefined);
  }, 30_000);

  test('proves nothing over a connection that breaks before the answer', async () => {
    const { master, replica } = await startPair(binary);
    const proxy = resources.use(
      await TcpProxy.start({ target: { host: '127.0.0.1', port: master.port ?? 0 } }),
    );
    const link = await connect({ url: proxy.url });
    const durability = await Durability.begin(link);
    replica.pause();
    proxy.intercept = ({ command }) => (/^WAIT$/i.test(command) ? 'cut' : 'pass');
    expect(await durability.gap('change')).toMatchObject({ kind: 'pending' });
    replica.resume();
  });
});

describe('with sentinels', () => {
  test('a replica that is away is waited for before something is destroyed; a failover is a change', async () => {
    const sentinel = resources.use(await RedisSentinel.start());
    const { addresses: sentinels, name: sentinelName, replica } = sentinel;
    const link = await connect({ sentinels, sentinelName });
    expect(await gapsOf(link)).toEqual([undefined, undefined, undefined]);

    const before = await Durability.begin(link);
    await sentinel.failOver();
    expect(await before.gap('change')).toMatchObject({ kind: 'changed' });
    await sentinel.untilKnownDown();
    const [floor, change, final] = await gapsOf(link);
    expect([floor, change]).toEqual([undefined, undefined]);
    expect(final).toMatchObject({ kind: 'pending' });
    expect(final?.why).toContain(`do not follow it (127.0.0.1:${sentinel.master.port})`);
    expect(final?.why).toContain(`Redis 127.0.0.1:${replica.port}`);
  }, 60_000);
});

describe('on a cluster', () => {
  test('every master and replica counts, those without a record of ours too', async () => {
    const cluster = resources.use(await RedisCluster.start({ appendonly: true }));
    expect(await gapsOf(await connect({ cluster: cluster.addresses }))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const link = await connect({ cluster: cluster.addresses, ...IMPATIENT });
    for (const replica of cluster.replicas) {
      replica.pause();
      // oxlint-disable-next-line no-await-in-loop -- one replica stands still at a time
      const gap = await (await Durability.begin(link)).gap('change');
      expect(gap?.why).toContain(`127.0.0.1:${replica.port}`);
      replica.resume();
    }
    const before = await Durability.begin(link);
    const [first, second] = cluster.masters as readonly [RedisServer, RedisServer];
    await cluster.moveSlot(5, first, second);
    expect(await before.gap('change')).toMatchObject({ kind: 'changed' });
  }, 90_000);
});
