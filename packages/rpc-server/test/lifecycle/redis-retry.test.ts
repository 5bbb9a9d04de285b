import { describe, expect, it } from '@jest/globals';
import { DegradedError, RedisRefusedError, RedisUnavailableError } from '@vault/redis-store';
import { isRedisAway, retryTurns, retryWaitMs } from '../../src/lifecycle/redis-retry.js';
import { OwnRedisError } from '../../src/own-redis/errors.js';

const unusable = (cause: unknown) => new DegradedError('redisUnusable', {}, { cause });

describe('a server tries again by itself', () => {
  it.each<[string, unknown]>([
    ['Redis cannot be reached', new RedisUnavailableError('Redis cannot be reached')],
    ['Redis loads its data', new RedisRefusedError('LOADING', '')],
    ['the master is down', new RedisRefusedError('MASTERDOWN', '')],
    ['the cluster has holes', new RedisRefusedError('CLUSTERDOWN', '')],
    ['its own Redis does not answer in time', new OwnRedisError('OWN_REDIS_TIMEOUT', '')],
  ])('while %s', (_, cause) => {
    expect(isRedisAway(cause)).toBe(true);
    expect(isRedisAway(unusable(cause))).toBe(true);
  });
});

describe('a server stays degraded until a restart', () => {
  it.each<[string, unknown]>([
    ['its password for Redis is wrong', unusable(new RedisRefusedError('WRONGPASS', ''))],
    ['its Redis user lacks a right', unusable(new RedisRefusedError('NOPERM', ''))],
    ['redis-server is not installed', unusable(new OwnRedisError('OWN_REDIS_MISSING', ''))],
    ['nothing says why', unusable(undefined)],
    [
      'a migration failed, even if that is since Redis went away',
      new DegradedError('migrationFailed', {}, { cause: new RedisUnavailableError('gone') }),
    ],
    ['a half is missing', new DegradedError('oneHalf', {})],
  ])('when %s', (_, error) => expect(isRedisAway(error)).toBe(false));
});

it('waits twice as long before each attempt, and never more than 30 s', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 2000].map(retryWaitMs)).toEqual([
    1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
  ]);
});

it('ends at once when the server stops', async () => {
  const stopping = new AbortController();
  const next = retryTurns(stopping.signal).next();
  stopping.abort();
  expect((await next).done).toBe(true);
});
