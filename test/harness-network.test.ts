import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisCluster } from './harness/redis-cluster.js';
import { RedisSentinel } from './harness/redis-sentinel.js';
import { RedisServer } from './harness/redis.js';
import { Resources } from './harness/resources.js';
import { RespFrames, parseRequest } from './harness/resp-frames.js';
import { TcpProxy } from './harness/tcp-proxy.js';

jest.setTimeout(60_000);
/** What ioredis says of a command whose connection ended, with no retry. */
const CONNECTION_LOST = /Connection is closed|max retries per request/;
const resources = new Resources();
afterEach(() => resources.stop());

describe('a RESP stream', () => {
  const frames = [
    '+OK\r\n',
    ':-12\r\n',
    '$5\r\na\r\nbc\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '*0\r\n',
    '*2\r\n*1\r\n$1\r\nx\r\n_\r\n',
    '%1\r\n+k\r\n~2\r\n#t\r\n,1.5\r\n',
    '|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n',
    '>2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n',
    '=7\r\ntxt:abc\r\n',
    '(123456789012345678901234567890\r\n',
  ];

  test('is cut at the same places wherever the chunks end', () => {
    const stream = Buffer.from(frames.join(''));
    for (let size = 1; size <= stream.length; size += 1) {
      const reader = new RespFrames();
      const found: string[] = [];
      for (let start = 0; start < stream.length; start += size) {
        found.push(...reader.push(stream.subarray(start, start + size)).map(String));
      }
      expect(found).toEqual(frames);
    }
  });

  test.each(['*2\r\n$3\r\nGET\r\n$1\r\nk\r\n', 'GET k\r\n'])('gives the words of %j', (frame) => {
    expect(parseRequest(Buffer.from(frame)).map(String)).toEqual(['GET', 'k']);
  });
});

async function startBehindProxy(): Promise<{ redis: Redis; direct: Redis; proxy: TcpProxy }> {
  const server = resources.use(await RedisServer.start());
  const proxy = resources.use(
    await TcpProxy.start({ target: { path: server.socketPath as string } }),
  );
  const redis = new Redis(proxy.url, {
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    disableClientInfo: true,
  });
  redis.on('error', () => undefined);
  resources.defer(() => redis.disconnect());
  await redis.ping();
  proxy.reset();
  return { redis, direct: server.client(), proxy };
}

describe('the proxy', () => {
  test('hands on and counts commands and bytes', async () => {
    const { redis, proxy } = await startBehindProxy();
    const value = 'x'.repeat(300_000);
    await redis.set('k', value);
    expect(await redis.get('k')).toBe(value);
    expect([proxy.requests, proxy.replies]).toEqual([2, 2]);
    expect(proxy.requestBytes).toBeGreaterThan(value.length);
  });

  test('cuts before a request, which is then not executed', async () => {
    const { redis, direct, proxy } = await startBehindProxy();
    proxy.intercept = ({ direction, command }) =>
      direction === 'request' && command === 'SET' ? 'cut' : 'pass';
    await expect(redis.set('k', 'v')).rejects.toThrow(CONNECTION_LOST);
    expect(await direct.get('k')).toBeNull();
  });

  test.each(['cut', 'cutInside'] as const)(
    'does %s at a reply, whose command is executed',
    async (verdict) => {
      const { redis, direct, proxy } = await startBehindProxy();
      proxy.intercept = ({ direction, n }) => (direction === 'reply' && n === 2 ? verdict : 'pass');
      await redis.set('first', 'v');
      await expect(redis.set('second', 'v')).rejects.toThrow(CONNECTION_LOST);
      expect(await direct.mget('first', 'second')).toEqual(['v', 'v']);
    },
  );

  test('hands nothing on behind half a request, of which Redis would make another command', async () => {
    const { redis, direct, proxy } = await startBehindProxy();
    proxy.intercept = ({ command, frame }) =>
      command === 'CONFIG' && frame.includes('appendfsync') ? 'cutInside' : 'pass';
    // In one write: the half of the first swallows the head of the second, whose last word is left.
    const sent = await redis.pipeline().config('GET', 'appendfsync').config('GET', 'save').exec();
    for (const [error] of sent ?? []) expect(String(error)).toMatch(CONNECTION_LOST);
    expect(await direct.info('commandstats')).not.toContain('cmdstat_save');
  });

  test('swallows an answer: the command is done, the client waits', async () => {
    const { redis, direct, proxy } = await startBehindProxy();
    const swallowed = new Promise<void>((resolve) => {
      proxy.intercept = ({ direction }) => {
        if (direction === 'request') return 'pass';
        resolve();
        return 'swallow';
      };
    });
    const answer = redis.set('k', 'v');
    await swallowed;
    expect(await direct.get('k')).toBe('v');
    redis.disconnect();
    await expect(answer).rejects.toThrow(CONNECTION_LOST);
  });
});

describe('a cluster', () => {
  test('serves every slot, and goes on after a slot has moved', async () => {
    const cluster = resources.use(await RedisCluster.start());
    const client = cluster.client();
    await client.set('{foo}k', 'v');
    const slot = await client.cluster('KEYSLOT', '{foo}k');
    const [first, , third] = cluster.masters as [RedisServer, RedisServer, RedisServer];
    await cluster.moveSlot(slot, third, first); // foo is slot 12182, in the last third
    expect(await client.get('{foo}k')).toBe('v');
    expect(await first.client().get('{foo}k')).toBe('v');
  });
});

describe('sentinels', () => {
  test('give the replica to a client whose master died', async () => {
    const sentinel = resources.use(await RedisSentinel.start());
    const client = sentinel.client();
    await client.set('k', 'v');
    await client.wait(1, 5000);
    await sentinel.failOver();
    expect(await client.get('k')).toBe('v');
    expect(await sentinel.replica.client().role()).toEqual(expect.arrayContaining(['master']));
  });
});
