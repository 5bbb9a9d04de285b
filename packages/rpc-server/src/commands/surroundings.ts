/** What the commands get of the process: only `main.ts` reads it there. */
import { checkKeystore } from '../config/custody-config.js';
import { loadConfig } from '../config/load-config.js';
import type { Environment, LoadOptions, ServerConfig } from '../config/load-config.js';
import { formatListen, parseListen } from '../config/listen-address.js';
import type { SourceEnvironment } from '@vault/keystore';
import type { SecretInput } from './secret-input.js';
import { createLog } from '../log.js';
import type { Logger, LogLevel } from '../log.js';

export interface Surroundings {
  readonly environment: Environment;
  readonly workingFolder: string;
  /** `process.geteuid()`; `undefined` where there are none. */
  readonly userId: number | undefined;
  readonly groupId: number | undefined;
  /** Data: text as it is, with its line feeds. */
  readonly writeOut: (text: string) => void;
  /** Talk: log, progress, problems. */
  readonly writeError: (text: string) => void;
  /** Whether somebody reads along: what is no terminal may be a journal, which keeps it. */
  readonly isOutTerminal: boolean;
  /** Whether progress bars make sense. */
  readonly isErrorTerminal: boolean;
  /** Where passwords and passphrases come from. */
  readonly secretInput: SecretInput;
  /** Columns of the terminal, for help. */
  readonly columns: number;
  /** Resolves at the first SIGTERM or SIGINT. */
  readonly stopRequested: Promise<void>;
  /** From then on SIGHUP ends nothing, and calls the listener. */
  readonly onReload: (listener: () => void) => void;
  readonly version: string;
}

/** Options that every command with a configuration has. */
export interface ConfigArguments {
  readonly config: string | undefined;
  readonly datadir: string | undefined;
  readonly port?: number | undefined;
}

/** @throws {ConfigError} of any setting, those of half sources included */
export function configFor(surroundings: Surroundings, args: ConfigArguments): ServerConfig {
  const config = readConfigFor(surroundings, args);
  checkKeystore(config.settings, sourcesFor(surroundings, config.settings.datadir));
  return config;
}

function readConfigFor(surroundings: Surroundings, args: ConfigArguments): ServerConfig {
  const { environment, workingFolder } = surroundings;
  const base: LoadOptions = {
    environment,
    workingFolder,
    ...(args.config !== undefined && { configFile: args.config }),
    ...(args.datadir !== undefined && { overrides: { datadir: args.datadir } }),
  };
  if (args.port === undefined) return loadConfig(base);
  // The port alone is replaced: the host stays that of file or environment.
  const listen = parseListen(loadConfig(base).settings['http.listen']);
  const replaced = formatListen({ host: listen?.host ?? '127.0.0.1', port: args.port });
  return loadConfig({ ...base, overrides: { ...base.overrides, 'http.listen': replaced } });
}

/** Loggers that write to standard error at the configured level. */
export function logFor(
  { environment, writeError }: Surroundings,
  level: LogLevel | (() => LogLevel),
): (namespace: string) => Logger {
  return createLog({
    write: writeError,
    level,
    debugNamespaces: environment['DEBUG'] ?? '',
  });
}

export function sourcesFor(surroundings: Surroundings, dataDir: string): SourceEnvironment {
  const { environment, userId, groupId } = surroundings;
  return { variables: environment, dataDir, userId, groupId };
}

export function searchPathOf({ environment }: Surroundings): string {
  return environment['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
}
