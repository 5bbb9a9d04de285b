/**
 * What a running server takes over of a configuration that was read again, and what only a restart
 * can. All of it is validated first: one that is broken changes nothing.
 */
import { createSecureContext } from 'node:tls';
import type { SourceEnvironment } from '@vault/keystore';
import { backupProtectionOf } from '../backup/protection.js';
import { checkSettings } from '../config/check-settings.js';
import { custodyOf } from '../config/custody-config.js';
import { ConfigError, SettingProblem } from '../config/errors.js';
import type { ServerConfig } from '../config/load-config.js';
import { readKeyFile, readPem, redisOptionsOf } from '../config/redis-config.js';
import { SETTING_PATHS } from '../config/settings.js';
import type { SettingPath, Settings } from '../config/settings.js';
import { describeError } from '../log.js';

/** Settings that are read whenever they are needed, or whose user can be begun anew without anybody noticing. */
export const LIVE_SETTINGS = [
  'log.level',
  'http.cert',
  'http.key',
  'keystore.rotateAfter',
  'keystore.rotateAutomatically',
  'backup.recipientFile',
  'backup.passphraseFile',
  'backup.exportFolder',
  'backup.exportEvery',
  'backup.exportKeep',
] as const satisfies readonly SettingPath[];

/** PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

export interface ReloadPlan {
  /** In force from now on: those of before, but for the live ones. */
  readonly config: ServerConfig;
  /** Where the server speaks TLS. */
  readonly tls: TlsFiles | undefined;
  /** Live settings that changed. */
  readonly applied: readonly SettingPath[];
  readonly needsRestart: readonly string[];
}

/** @throws {ConfigError} when the files do not belong together, or cannot be read */
export function readTlsFiles(settings: Settings): TlsFiles | undefined {
  const { 'http.cert': certFile, 'http.key': keyFile } = settings;
  if (certFile === undefined || keyFile === undefined) return undefined;
  const tls = { cert: readPem('http.cert', certFile), key: readKeyFile('http.key', keyFile) };
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new ConfigError(
      'CONFIG_UNREADABLE',
      `http.cert, http.key: ${certFile} and ${keyFile} are no certificate with its key (${describeError(error)})`,
    );
  }
  return tls;
}

/**
 * Compares and validates.
 * @param current in force
 * @param next as just read
 * @throws {ConfigError} when it cannot work
 */
export async function planReload(
  current: ServerConfig,
  next: ServerConfig,
  sources: SourceEnvironment,
): Promise<ReloadPlan> {
  await checkFiles(next.settings, sources);
  const isTls = current.settings['http.cert'] !== undefined;
  const staysTls = isTls === (next.settings['http.cert'] !== undefined);
  const live = LIVE_SETTINGS.filter((path) => staysTls || !path.startsWith('http.'));
  const settings: Settings = {
    ...current.settings,
    ...Object.fromEntries(live.map((path) => [path, next.settings[path]])),
  };
  checkTogether(settings);
  const changed = SETTING_PATHS.filter(
    (path) => !isSame(current.settings[path], next.settings[path]),
  );
  const needsRestart = SETTING_PATHS.filter((path) => !isSame(settings[path], next.settings[path]));
  return {
    config: { ...current, settings },
    tls: isTls ? readTlsFiles(settings) : undefined,
    applied: changed.filter((path) => !needsRestart.includes(path)),
    needsRestart: [
      ...needsRestart,
      ...(isSame(current.collections, next.collections) ? [] : ['collections']),
    ],
  };
}

/** What the settings name is looked at as a start does. @throws {ConfigError} */
async function checkFiles(settings: Settings, sources: SourceEnvironment): Promise<void> {
  readTlsFiles(settings);
  redisOptionsOf(settings);
  await custodyOf(settings, sources);
  await backupProtectionOf(settings);
}

/** What is taken over has to fit what stays. @throws {ConfigError} */
function checkTogether(settings: Settings): void {
  try {
    checkSettings(settings);
  } catch (error) {
    if (!(error instanceof SettingProblem)) throw error;
    throw new ConfigError(
      error.code,
      `the changes need those that only a restart takes over: ${error.message}`,
    );
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
