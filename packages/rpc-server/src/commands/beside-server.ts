/** What the commands share that look at the database beside the server, or without one. */
import { DegradedError } from '@vault/redis-store';
import type { CredentialDatabase, Progress, StoreLogger } from '@vault/redis-store';
import type { ServerConfig } from '../config/load-config.js';
import type { LogLevel } from '../log.js';
import { localRedis } from '../local-redis.js';
import type { LocalRedis } from '../local-redis.js';
import { openDatabase } from '../open-database.js';
import { OwnRedisError } from '../own-redis/errors.js';
import { logFor, searchPathOf, sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

/** Runs work with the Redis of a configuration; one that was started for it is stopped after. */
export async function withRedis<Result>(
  surroundings: Surroundings,
  { settings }: ServerConfig,
  work: (redis: LocalRedis) => Promise<Result>,
): Promise<Result> {
  const redis = await startRedis(surroundings, settings);
  try {
    return await work(redis);
  } finally {
    await redis.stop();
  }
}

async function startRedis(
  surroundings: Surroundings,
  settings: ServerConfig['settings'],
): Promise<LocalRedis> {
  try {
    return await localRedis({ settings, searchPath: searchPathOf(surroundings), role: 'tool' });
  } catch (error) {
    if (!(error instanceof OwnRedisError)) throw error;
    throw new DegradedError('redisUnusable', { cause: error.message });
  }
}

/**
 * Opens the database as a tool: no key is made, nothing migrates.
 * @throws {DegradedError} when it may not be opened
 */
export async function withDatabase<Result>(
  surroundings: Surroundings,
  config: ServerConfig,
  work: (database: CredentialDatabase) => Promise<Result>,
  onProgress?: (progress: Progress) => void,
): Promise<Result> {
  return withRedis(surroundings, config, async (redis) => {
    const database = await openDatabase({
      config,
      redis,
      role: 'tool',
      sources: sourcesFor(surroundings, config.settings.datadir),
      logger: toolLogger(surroundings, config),
      ...(onProgress !== undefined && { onProgress }),
    });
    try {
      return await work(database);
    } finally {
      await database.close();
    }
  });
}

/** Warnings and errors only, unless the configuration says otherwise: a tool has its own output. */
export function toolLogger(surroundings: Surroundings, { settings }: ServerConfig): StoreLogger {
  const level = settings['log.level'] === 'info' ? 'warn' : settings['log.level'];
  return logFor(surroundings, level as LogLevel)('crypto-credentials');
}
