/** The Redis of a configuration: one of the operator's, or the server's own, started where it does not run. */
import { join } from 'node:path';
import { DATA_FOLDER } from '@vault/redis-store';
import type { RedisOptions } from '@vault/redis-store';
import { redisOptionsOf } from './config/redis-config.js';
import type { Settings } from './config/settings.js';
import { OwnRedis } from './own-redis/own-redis.js';

export interface LocalRedis {
  readonly options: RedisOptions;
  readonly isOwn: boolean;
  /** Stops an own Redis that nobody else uses; leaves any other alone. */
  stop(): Promise<void>;
}

export interface LocalRedisParts {
  readonly settings: Settings;
  /** `PATH`, to find redis-server in. */
  readonly searchPath: string;
  readonly role: 'server' | 'tool';
  readonly onLoading?: () => void;
  /** Gives the start of an own Redis up. */
  readonly signal?: AbortSignal;
}

/**
 * @throws {ConfigError} when a file of the configuration cannot be read
 * @throws {OwnRedisError} when the own Redis cannot be started
 */
export async function localRedis(parts: LocalRedisParts): Promise<LocalRedis> {
  const { settings, searchPath, role, onLoading, signal } = parts;
  const configured = redisOptionsOf(settings);
  if (configured !== undefined) {
    return { options: configured, isOwn: false, stop: () => Promise.resolve() };
  }
  const own = await OwnRedis.start({
    folder: join(settings.datadir, DATA_FOLDER.ownRedis.name),
    program: settings['redis.server'],
    startTimeoutMs: settings['redis.startTimeout'],
    searchPath,
    role,
    ...(onLoading !== undefined && { onLoading }),
    ...(signal !== undefined && { signal }),
  });
  return {
    options: { socketPath: own.socketPath },
    isOwn: true,
    stop: async () => {
      await own.stop();
    },
  };
}
