/** From the settings under `[redis]` to the options of the store. */
import { readFileSync } from 'node:fs';
import type { RedisOptions, RedisTlsOptions } from '@vault/redis-store';
import { readPrivateKey, readSecretLine, SecretFileError } from '../secret-file.js';
import { ConfigError } from './errors.js';
import type { SettingPath, Settings } from './settings.js';

/** First line of a file that holds a password. @throws {ConfigError} naming setting and path, never what was read */
export function readSecretFile(setting: SettingPath, file: string): string {
  return readClosed(setting, file, readSecretLine);
}

/** A private key that a setting names. @throws {ConfigError} where others may read it, too */
export function readKeyFile(setting: SettingPath, file: string): string {
  return readClosed(setting, file, readPrivateKey);
}

function readClosed(setting: SettingPath, file: string, read: (path: string) => string): string {
  try {
    return read(file);
  } catch (error) {
    if (!(error instanceof SecretFileError)) throw error;
    throw new ConfigError('CONFIG_UNREADABLE', `${setting}: ${file} ${error.message}`);
  }
}

/** A text file that a setting names. @throws {ConfigError} */
export function readPem(setting: SettingPath, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new ConfigError('CONFIG_UNREADABLE', `${setting}: ${file} cannot be read (${code})`);
  }
}

function tlsOptions(settings: Settings): RedisTlsOptions | undefined {
  const files = { ca: 'redis.tlsCa', cert: 'redis.tlsCert', key: 'redis.tlsKey' } as const;
  const texts = Object.entries(files).flatMap(([name, path]) => {
    const file = settings[path];
    if (file === undefined) return [];
    const read = name === 'key' ? readKeyFile : readPem;
    return [[name, read(path, file)] as const];
  });
  const servername = settings['redis.tlsServerName'];
  if (!settings['redis.tls'] && texts.length === 0 && servername === undefined) return undefined;
  return { ...Object.fromEntries(texts), ...(servername !== undefined && { servername }) };
}

/**
 * @returns `undefined` when no Redis is configured: the server runs its own
 * @throws {ConfigError} when a file that a setting names cannot be read
 */
export function redisOptionsOf(settings: Settings): RedisOptions | undefined {
  const {
    'redis.url': url,
    'redis.socket': socketPath,
    'redis.cluster': cluster,
    'redis.sentinels': sentinels,
    'redis.name': sentinelName,
    'redis.username': username,
    'redis.database': db,
    'redis.passwordFile': passwordFile,
    'redis.sentinelPasswordFile': sentinelPasswordFile,
  } = settings;
  if ([url, socketPath, cluster, sentinels].every((place) => place === undefined)) return undefined;
  const tls = tlsOptions(settings);
  return {
    ...(url !== undefined && { url }),
    ...(socketPath !== undefined && { socketPath }),
    ...(cluster !== undefined && { cluster }),
    ...(sentinels !== undefined && { sentinels }),
    ...(sentinelName !== undefined && { sentinelName }),
    ...(username !== undefined && { username }),
    ...(db !== undefined && { db }),
    ...(tls !== undefined && { tls }),
    ...(passwordFile !== undefined && {
      password: readSecretFile('redis.passwordFile', passwordFile),
    }),
    ...(sentinelPasswordFile !== undefined && {
      sentinelPassword: readSecretFile('redis.sentinelPasswordFile', sentinelPasswordFile),
    }),
  };
}
