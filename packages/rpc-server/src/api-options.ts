/** The faces of the server, as a configuration wants them. */
import { limitsOf } from './config/limit-settings.js';
import { parseListen } from './config/listen-address.js';
import type { ServerConfig } from './config/load-config.js';
import { localSocketOf } from './config/local-socket.js';
import type { ApiOptions } from './http/api-server.js';
import { readTlsFiles } from './lifecycle/reload.js';
import type { Logger } from './log.js';

/** What the API takes of a configuration. @throws {ConfigError} when a certificate cannot be used */
export function apiOptions(
  { settings, collections }: ServerConfig,
  version: string,
  logger: Logger,
): ApiOptions {
  const listen = parseListen(settings['http.listen']);
  if (listen === undefined) throw new TypeError('the settings were not checked');
  const tls = readTlsFiles(settings);
  return {
    listen,
    ...(tls !== undefined && { tls }),
    localSocket: localSocketOf(settings),
    trustedProxies: settings['http.trustedProxies'],
    allowedHosts: settings['http.allowedHosts'],
    allowedOrigins: settings['http.allowedOrigins'],
    limits: limitsOf(settings),
    collections,
    logger,
    version,
  };
}
