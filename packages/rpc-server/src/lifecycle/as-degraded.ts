/** What a failure to open is for the server. */
import { DegradedError } from '@vault/redis-store';
import { ConfigError } from '../config/errors.js';
import { describeError } from '../log.js';
import { OwnRedisError } from '../own-redis/errors.js';
import { isRedisAway } from './redis-retry.js';

/** Every failure to open leaves the server degraded, with what is known of the cause. */
export function asDegraded(error: unknown): DegradedError {
  if (error instanceof DegradedError) return error;
  const isRedis = error instanceof OwnRedisError || isRedisAway(error);
  const advice = error instanceof ConfigError ? 'correct the configuration and restart' : undefined;
  return new DegradedError(
    isRedis ? 'redisUnusable' : 'startFailed',
    { cause: describeError(error), ...(advice !== undefined && { advice }) },
    { cause: error },
  );
}
