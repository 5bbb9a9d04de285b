/**
 * A Redis that is away when the server starts: the one degraded state that ends without a restart,
 * since nobody has to decide anything. Every attempt is a start like the first, with all its checks.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { DegradedError, RedisRefusedError, StoreError } from '@vault/redis-store';
import { OwnRedisError } from '../own-redis/errors.js';

/** A Redis that starts together with the server is there after a second or two. */
const FIRST_WAIT_MS = 1000;
/** Soon enough for whoever mended it, and no load on a Redis that many servers wait for. */
const WAIT_MAX_MS = 30_000;

export const RETRY_ADVICE = `the server tries again by itself, at least every ${WAIT_MAX_MS / 1000} s, and serves once Redis does: no restart is needed`;

/** Error replies of a Redis that will answer by itself; all others want a change of its settings or ours. */
const PASSING_REPLIES: ReadonlySet<string> = new Set([
  'LOADING',
  'BUSY',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'READONLY',
  'TRYAGAIN',
]);

/** Whether Redis could not be reached, or was not ready yet: nothing else is wrong, as far as is known. */
export function isRedisAway(error: unknown): boolean {
  if (error instanceof DegradedError) {
    return error.reason === 'redisUnusable' && isRedisAway(error.cause);
  }
  if (error instanceof OwnRedisError) return error.code === 'OWN_REDIS_TIMEOUT';
  if (error instanceof RedisRefusedError) return PASSING_REPLIES.has(error.reply);
  return error instanceof StoreError && error.code === 'REDIS_UNAVAILABLE';
}

/** Milliseconds before the n-th attempt after the first, n from 0: 1 s, then twice as long each time, up to 30 s. */
export function retryWaitMs(attempt: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** attempt, WAIT_MAX_MS);
}

/** Yields once before each attempt, for ever; ends when `signal` aborts. */
export async function* retryTurns(signal: AbortSignal): AsyncGenerator<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- that is what it is for
      await delay(retryWaitMs(attempt), undefined, { signal });
    } catch {
      return;
    }
    yield;
  }
}
