/** Writes that the client library sends again since their connection broke: never done twice, and never said to be what they may not be. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { RedisServer } from '../../../test/harness/redis.js';
import { Resources } from '../../../test/harness/resources.js';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import type { Verdict } from '../../../test/harness/tcp-proxy.js';
import type { VaultKey } from '@vault/crypto';
import type { Collection } from '../src/collections/collection.js';
import { linkStore, newKey } from './store-fixture.js';

const resources = new Resources();
afterEach(() => resources.stop());

interface Pair {
  readonly redis: RedisServer;
  readonly proxy: TcpProxy;
  /** Its connection goes through the proxy. */
  readonly cutOff: Collection;
  readonly other: Collection;
  /**
   * Breaks the connection once: before the next write reaches Redis, or before its answer comes back.
   * @param meanwhile done after that write was executed, or not, and before it is sent again
   */
  readonly breakAt: (direction: 'request' | 'reply', meanwhile?: () => Promise<unknown>) => void;
}

async function pair(key: VaultKey | undefined): Promise<Pair> {
  const redis = resources.use(await RedisServer.start({ appendonly: true }));
  const proxy = resources.use(await TcpProxy.start({ target: { path: redis.socketPath ?? '' } }));
  const [cutOff, other] = await Promise.all(
    [{ url: proxy.url }, { socketPath: redis.socketPath ?? '' }].map(async (options) => {
      const store = await linkStore(options, key);
      resources.defer(() => store.stop());
      return store;
    }),
  );
  if (cutOff === undefined || other === undefined) throw new RangeError('two stores');
  // The script is known to the connection: what comes then is a write and nothing else.
  const warm = await cutOff.servers.add({ host: 'warm' });
  await cutOff.servers.remove(warm);
  const breakAt: Pair['breakAt'] = (at, meanwhile) => {
    let isArmed = true;
    proxy.intercept = async ({ direction, command, frame }): Promise<Verdict> => {
      const isWrite = direction === 'request' ? command.startsWith('EVAL') : frame.includes('ALL');
      if (!isArmed || direction !== at || !isWrite) return 'pass';
      isArmed = false;
      await meanwhile?.();
      return 'cut';
    };
  };
  return { redis, proxy, cutOff: cutOff.servers, other: other.servers, breakAt };
}

const UNKNOWN = { code: 'OUTCOME_UNKNOWN' };
const LABEL = { host: 'a', label: 'before' };

describe.each([
  ['encrypted', newKey()],
  ['plaintext', undefined],
])('in an %s database', (_, key) => {
  test('an add does not bring back a record that was removed meanwhile', async () => {
    const { cutOff, other, breakAt } = await pair(key);
    breakAt('reply', () => other.remove('a'));
    await expect(cutOff.add(LABEL, { id: 'a' })).rejects.toMatchObject(UNKNOWN);
    expect(await other.get('a')).toBeUndefined();
    expect(await other.count()).toBe(0);
  });

  test('a change does not undo one that was made after it', async () => {
    const { cutOff, other, breakAt } = await pair(key);
    await other.add(LABEL, { id: 'a' });
    // The same content as before the change: only an envelope shows that it was written anew.
    breakAt('reply', () => other.set('a', { label: 'before' }));
    await expect(cutOff.set('a', { label: 'mine' })).rejects.toMatchObject(UNKNOWN);
    expect((await other.get('a'))?.record['label']).toBe('before');
  });

  test('a removal is not said to have found nothing, and spares a record of the same id', async () => {
    const { cutOff, other, breakAt } = await pair(key);
    await other.add(LABEL, { id: 'a' });
    breakAt('reply');
    await expect(cutOff.remove('a')).rejects.toMatchObject(UNKNOWN);
    expect(await other.get('a')).toBeUndefined();
    await other.add(LABEL, { id: 'a' });
    breakAt('reply', () => other.add(LABEL, { id: 'a' }));
    await expect(cutOff.remove('a')).rejects.toMatchObject(UNKNOWN);
    expect((await other.get('a'))?.record).toEqual(LABEL);
  });

  test('an add of what another process adds is told that it exists', async () => {
    const { cutOff, other } = await pair(key);
    await other.add(LABEL, { id: 'a' });
    await expect(cutOff.add(LABEL, { id: 'a' })).rejects.toMatchObject({ code: 'RECORD_EXISTS' });
  });

  test('what was never sent before is written once the connection is back', async () => {
    const { redis, cutOff, other } = await pair(key);
    await redis.kill();
    const adding = cutOff.add(LABEL, { id: 'a' });
    await redis.restart();
    await adding;
    expect((await other.get('a'))?.record).toEqual(LABEL);
  });
});

describe('a write that is given up', () => {
  async function hasty(): Promise<Pick<Pair, 'redis' | 'proxy'> & { servers: Collection }> {
    const redis = resources.use(await RedisServer.start());
    const proxy = resources.use(await TcpProxy.start({ target: { path: redis.socketPath ?? '' } }));
    const store = await linkStore({ url: proxy.url, maxRetriesPerRequest: 1 }, newKey());
    resources.defer(() => store.stop());
    return { redis, proxy, servers: store.servers };
  }

  test('says that it may have been done, where it was sent', async () => {
    const { proxy, servers } = await hasty();
    proxy.intercept = ({ frame }) => {
      if (!frame.includes('ALL')) return 'pass';
      void proxy.stop();
      return 'cut';
    };
    await expect(servers.add({ host: 'a' })).rejects.toMatchObject(UNKNOWN);
  });

  test('says that Redis is away, where it was not', async () => {
    const { redis, servers } = await hasty();
    await redis.kill();
    // The connection is known to be gone then.
    await expect(servers.count()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
    await expect(servers.add({ host: 'a' })).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
  });
});

describe('what can be told is told', () => {
  test('an envelope that stands there was written by that add', async () => {
    const { cutOff, other, breakAt } = await pair(newKey());
    breakAt('reply');
    expect(await cutOff.add(LABEL, { id: 'a' })).toBe('a');
    expect((await other.get('a'))?.record).toEqual(LABEL);
  });

  test.each(['request', 'reply'] as const)(
    'a change of an envelope is made once, where the %s was lost',
    async (at) => {
      const { cutOff, other, breakAt } = await pair(newKey());
      await other.add({ host: 'a', port: 1 }, { id: 'a' });
      breakAt(at);
      await cutOff.update('a', ({ port, ...rest }) => ({ ...rest, port: Number(port) + 1 }));
      expect((await other.get('a'))?.record['port']).toBe(2);
    },
  );

  test('an envelope that is still there was not removed, and is then', async () => {
    const { cutOff, other, breakAt } = await pair(newKey());
    await other.add(LABEL, { id: 'a' });
    breakAt('request');
    expect(await cutOff.remove('a')).toBe(true);
    expect(await other.get('a')).toBeUndefined();
  });

  test('what a replica refused was not written, and is sent again as if for the first time', async () => {
    const { redis, proxy, cutOff, other } = await pair(undefined);
    const client = redis.client();
    await client.replicaof('127.0.0.1', 1);
    let refusals = 0;
    proxy.intercept = async ({ frame }): Promise<Verdict> => {
      if (!frame.toString('latin1').startsWith('-READONLY')) return 'pass';
      refusals += 1;
      await client.replicaof('NO', 'ONE');
      return 'pass';
    };
    expect(await cutOff.add(LABEL, { id: 'a' })).toBe('a');
    expect(refusals).toBe(1);
    expect((await other.get('a'))?.record).toEqual(LABEL);
  });
});
