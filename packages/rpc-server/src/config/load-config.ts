/**
 * Finds, reads and checks the configuration: one TOML file, overridden by `VAULT_*` variables,
 * overridden by command line options. Nothing is guessed: what is not understood is refused, with
 * file, line and the nearest right name.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { CollectionDefinitions } from '@vault/redis-store';
import { parse, TomlError } from 'smol-toml';
import { checkSettings } from './check-settings.js';
import { readCollections } from './collections-config.js';
import { ConfigError, SettingProblem } from './errors.js';
import { didYouMean, editDistance, nearestName } from './nearest-name.js';
import { fromEnvironment, readSetting } from './setting-value.js';
import { environmentName, SETTING_PATHS, settingOf } from './settings.js';
import type { SettingPath, Settings } from './settings.js';
import { locateKey } from './toml-location.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadOptions {
  readonly environment: Environment;
  /** `--config`: this file, and no other. */
  readonly configFile?: string;
  /** Values of command line options, by path of the setting; they win over file and environment. */
  readonly overrides?: Readonly<Partial<Record<SettingPath, string>>>;
  /** Folder that a relative `--config` or override starts from. */
  readonly workingFolder: string;
}

export interface ServerConfig {
  /** The file that was read, absolute. */
  readonly file: string;
  readonly settings: Settings;
  /** Built-in collections and those of `[collections]`. */
  readonly collections: CollectionDefinitions;
  /** Sentences for the log: variables that look like settings and are none. */
  readonly warnings: readonly string[];
}

export const SYSTEM_CONFIG_FILE = '/etc/vault-server/config.toml';

/** A configuration is a few KiB; anything far larger is another file. */
const CONFIG_BYTES_MAX = 1024 * 1024;

/** Where a configuration is looked for, in order. */
export function configFileCandidates(options: LoadOptions): readonly string[] {
  if (options.configFile !== undefined) {
    return [resolve(options.workingFolder, options.configFile)];
  }
  return [SYSTEM_CONFIG_FILE, userConfigFile(options.environment)].filter(
    (file) => file !== undefined,
  );
}

/** `$XDG_CONFIG_HOME/vault-server/config.toml`; `undefined` without a home. */
export function userConfigFile(environment: Environment): string | undefined {
  const { XDG_CONFIG_HOME: xdg, HOME: home } = environment;
  if (xdg !== undefined && xdg !== '') return join(xdg, 'vault-server', 'config.toml');
  return home === undefined || home === ''
    ? undefined
    : join(home, '.config', 'vault-server', 'config.toml');
}

function readFirst(files: readonly string[]): { file: string; text: string } {
  for (const file of files) {
    try {
      const text = readFileSync(file, 'utf8');
      if (text.length > CONFIG_BYTES_MAX) {
        throw new ConfigError('CONFIG_UNREADABLE', `${file} is larger than a configuration can be`);
      }
      return { file, text };
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') {
        throw new ConfigError('CONFIG_UNREADABLE', `${file} cannot be read (${code})`);
      }
    }
  }
  throw new ConfigError(
    'CONFIG_NOT_FOUND',
    `no configuration file found (looked for ${files.join(', ')}); make one with: vault-server init`,
  );
}

/**
 * @throws {ConfigError} with a message of one line: where, what was expected, what was met
 */
export function loadConfig(options: LoadOptions): ServerConfig {
  const { file, text } = readFirst(configFileCandidates(options));
  const document = parseDocument(file, text);
  try {
    const { collections, ...sections } = document;
    const given = flatten(sections);
    const definitions = readCollections(collections);
    const values: Partial<Record<SettingPath, unknown>> = {};
    for (const path of SETTING_PATHS) {
      values[path] = valueOf(path, given.get(path), dirname(file), options);
    }
    const settings = values as Settings;
    checkSettings(settings);
    return { file, settings, collections: definitions, warnings: strangers(options.environment) };
  } catch (error) {
    if (!(error instanceof SettingProblem)) throw error;
    const line = locateKey(text, error.path);
    const place = line === undefined ? file : `${file}:${line}`;
    throw new ConfigError(error.code, `${place}: ${error.message}`);
  }
}

function parseDocument(file: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Its message shows the lines around: a configuration may hold a password there.
    const problem = error.message.split('\n')[0] ?? 'not TOML';
    throw new ConfigError('CONFIG_SYNTAX', `${file}:${error.line}:${error.column}: ${problem}`);
  }
}

/** Values by path, after every key was found in the table. */
function flatten(document: Record<string, unknown>): Map<SettingPath, unknown> {
  const sections = new Set(SETTING_PATHS.map((path) => path.split('.')[0] ?? path));
  const names = [...sections, 'collections'];
  const given = new Map<SettingPath, unknown>();
  for (const [key, value] of Object.entries(document)) {
    if (!sections.has(key)) {
      const message = `unknown section or setting "${key}"${didYouMean(key, names)}`;
      throw new SettingProblem('CONFIG_UNKNOWN', [key], message);
    }
    if (isSettingPath(key)) {
      given.set(key, value);
      continue;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new SettingProblem('CONFIG_TYPE', [key], `"${key}" is a section: [${key}]`);
    }
    for (const [name, inner] of Object.entries(value)) {
      const path = `${key}.${name}`;
      if (!isSettingPath(path)) {
        const siblings = SETTING_PATHS.filter((known) => known.startsWith(`${key}.`));
        const message = `unknown setting "${path}"${didYouMean(path, siblings)}`;
        throw new SettingProblem('CONFIG_UNKNOWN', [key, name], message);
      }
      given.set(path, inner);
    }
  }
  return given;
}

function isSettingPath(path: string): path is SettingPath {
  return (SETTING_PATHS as readonly string[]).includes(path);
}

function valueOf(
  path: SettingPath,
  given: unknown,
  folder: string,
  { environment, overrides, workingFolder }: LoadOptions,
): unknown {
  const setting = settingOf(path);
  const keys = path.split('.');
  const override = overrides?.[path];
  if (override !== undefined) {
    const value = fromEnvironment(setting, override);
    return fromOutside('command line', () => readSetting(keys, setting, value, workingFolder));
  }
  const variable = environmentName(path);
  const text = environment[variable];
  if (text !== undefined) {
    const value = fromEnvironment(setting, text);
    return fromOutside(variable, () => readSetting(keys, setting, value, workingFolder));
  }
  if (given !== undefined) return readSetting(keys, setting, given, folder);
  if (setting.default === undefined || typeof setting.default === 'number') return setting.default;
  return readSetting(keys, setting, setting.default, folder);
}

/** A problem outside the file has no line in it: it names the variable instead. */
function fromOutside<Value>(where: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SettingProblem)) throw error;
    throw new ConfigError(error.code, `${where}: ${error.message}`);
  }
}

/** Variables of the server that are no settings. */
const OTHER_VARIABLES = [
  'VAULT_ADMIN_EMAIL',
  'VAULT_ADMIN_PASSWORD',
  'VAULT_MASTER_KEY',
  'VAULT_MASTER_KEY_PREVIOUS',
  'VAULT_RECOVERY_PASSWORD',
];

/** A variable of another program may begin alike: only what is one or two letters from ours is named. */
const SLIP_MAX = 2;

function strangers(environment: Environment): string[] {
  const known = [...SETTING_PATHS.map(environmentName), ...OTHER_VARIABLES];
  return Object.keys(environment)
    .filter((name) => name.startsWith('VAULT_') && !known.includes(name))
    .flatMap((name) => {
      const near = nearestName(name, known);
      return near === undefined || editDistance(name, near) > SLIP_MAX
        ? []
        : [`the environment variable ${name} is not one of ours; did you mean ${near}?`];
    });
}
