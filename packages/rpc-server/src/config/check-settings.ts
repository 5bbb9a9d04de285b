/** What must be true of several settings together. */
import { proxyList } from '../admission/client-address.js';
import { SettingProblem } from './errors.js';
import { isLoopback, parseListen } from './listen-address.js';
import type { SettingPath, Settings } from './settings.js';

function conflict(path: SettingPath, message: string): SettingProblem {
  return new SettingProblem('CONFIG_CONFLICT', path.split('.'), message);
}

/** Settings that need another one: the first is refused without the second. */
const NEEDS: readonly (readonly [SettingPath, SettingPath])[] = [
  ['http.cert', 'http.key'],
  ['http.key', 'http.cert'],
  ['redis.sentinels', 'redis.name'],
  ['redis.name', 'redis.sentinels'],
  ['redis.sentinelPasswordFile', 'redis.sentinels'],
  ['redis.tlsCert', 'redis.tlsKey'],
  ['redis.tlsKey', 'redis.tlsCert'],
];

/** At most one of these says where Redis is. */
const REDIS_PLACES = ['redis.url', 'redis.socket', 'redis.cluster', 'redis.sentinels'] as const;

/** Settings that only mean something with a Redis that is not our own. */
const REDIS_OF_OTHERS = [
  'redis.username',
  'redis.passwordFile',
  'redis.database',
  'redis.tlsCa',
  'redis.tlsCert',
  'redis.tlsServerName',
] as const;

const AUTOMATIC_ROTATION_MIN_MS = 86_400_000;

/** @throws {SettingProblem} */
export function checkSettings(settings: Settings): void {
  const listen = parseListen(settings['http.listen']);
  if (listen === undefined) {
    const message = '"http.listen" is address:port, such as "127.0.0.1:7400" or "[::1]:7400"';
    throw new SettingProblem('CONFIG_TYPE', ['http', 'listen'], message);
  }
  checkProxies(settings['http.trustedProxies']);
  for (const [one, other] of NEEDS) {
    if (settings[one] !== undefined && settings[other] === undefined) {
      throw conflict(one, `"${one}" needs "${other}"`);
    }
  }
  if (
    !isLoopback(listen.host) &&
    settings['http.cert'] === undefined &&
    !settings['http.allowPlaintext']
  ) {
    throw conflict(
      'http.listen',
      'passwords and secrets would cross the network in clear: set "http.cert" and "http.key", listen on loopback, or set "http.allowPlaintext" when a proxy in front speaks TLS',
    );
  }
  const hasProtection =
    settings['backup.recipientFile'] !== undefined ||
    settings['backup.passphraseFile'] !== undefined;
  if (
    settings['backup.exportFolder'] !== undefined &&
    settings['redis.encryptCredentialDatabase'] === true &&
    !hasProtection
  ) {
    throw conflict(
      'backup.exportFolder',
      '"backup.exportFolder" needs "backup.recipientFile" or "backup.passphraseFile" while the database is encrypted',
    );
  }
  if (
    settings['keystore.rotateAutomatically'] &&
    settings['keystore.rotateAfter'] < AUTOMATIC_ROTATION_MIN_MS
  ) {
    throw conflict(
      'keystore.rotateAutomatically',
      '"keystore.rotateAutomatically" needs "keystore.rotateAfter" of a day at least: each rotation leaves an inactive key behind, and a half holds only so many',
    );
  }
  const places = REDIS_PLACES.filter((path) => settings[path] !== undefined);
  const [first, second] = places;
  if (first !== undefined && second !== undefined) {
    throw conflict(second, `"${second}" and "${first}" both say where Redis is: keep one`);
  }
  const stray = REDIS_OF_OTHERS.find((path) => settings[path] !== undefined);
  if (first === undefined && (stray !== undefined || settings['redis.tls'])) {
    const path = stray ?? 'redis.tls';
    throw conflict(
      path,
      `"${path}" is for a Redis of yours: set one of ${REDIS_PLACES.join(', ')}`,
    );
  }
  if (settings['redis.cluster'] !== undefined && (settings['redis.database'] ?? 0) !== 0) {
    throw conflict('redis.database', 'a Redis Cluster has only database 0');
  }
}

function checkProxies(proxies: readonly string[]): void {
  try {
    proxyList(proxies);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `"http.trustedProxies": ${error.message}`;
    throw new SettingProblem('CONFIG_TYPE', ['http', 'trustedProxies'], message);
  }
}
