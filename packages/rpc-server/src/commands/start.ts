/** `vault-server`, `vault-server start`: runs the server in the foreground. */
import { VaultServer } from '../server.js';
import type { ServerOptions } from '../server.js';
import { ConfigError } from '../config/errors.js';
import type { ServerConfig } from '../config/load-config.js';
import {
  isRecoveryPassword,
  RECOVERY_PASSWORD_CHARACTERS_MIN,
} from '../recovery/recovery-password.js';
import type { LogLevel } from '../log.js';
import { CONFIG_OPTIONS, configArguments } from './command.js';
import type { Command } from './command.js';
import { configFor, logFor, searchPathOf, sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

const PORT_MAX = 65_535;

export const START: Command = {
  names: ['start', '$0'],
  summary: 'Run the server in the foreground, until SIGTERM or Ctrl-C',
  options: {
    ...CONFIG_OPTIONS,
    port: { type: 'number', requiresArg: true, describe: 'Port, instead of the configured one' },
    wait: {
      type: 'boolean',
      describe:
        'Print "ready" only when all records are as the configuration asks; it serves before',
    },
  },
  examples: [
    ['$0 --config ./config.toml', 'Run with this configuration'],
    ['$0 --port 7401', 'The same server on another port'],
    ['VAULT_LOG_LEVEL=debug $0', 'Every setting has a variable: see docs/configuration.md'],
  ],
  async run(surroundings, args) {
    const load = () => configFor(surroundings, checkedPort(configArguments(args)));
    const config = load();
    const password = recoveryPasswordOf(surroundings);
    let server: VaultServer | undefined;
    surroundings.onReload(() => void server?.reload(load));
    server = await VaultServer.start({
      ...serverOptions(surroundings, config),
      isReadyOnceSettled: args['wait'] === true,
      ...(password !== undefined && { recovery: { password, isRequired: false } }),
    });
    await surroundings.stopRequested;
    await server.stop();
    return 'ok';
  },
};

/** What a server needs of configuration and process, in whatever mode it starts. */
export function serverOptions(surroundings: Surroundings, config: ServerConfig): ServerOptions {
  const { environment, writeOut, isOutTerminal, version } = surroundings;
  // The table of settings allows no other.
  let level = config.settings['log.level'] as LogLevel;
  return {
    config,
    sources: sourcesFor(surroundings, config.settings.datadir),
    searchPath: searchPathOf(surroundings),
    log: logFor(surroundings, () => level),
    setLogLevel: (next) => {
      level = next;
    },
    version,
    administrator: {
      // An empty variable is one that was not given.
      email: environment['VAULT_ADMIN_EMAIL'] || undefined,
      password: environment['VAULT_ADMIN_PASSWORD'] || undefined,
    },
    print: (line) => writeOut(`${line}\n`),
    mayPrintSecrets: isOutTerminal,
  };
}

/**
 * The variable that lets a start go on in recovery mode, for machines where no other command can be run.
 * @throws {ConfigError} when it is too short
 */
export function recoveryPasswordOf({ environment }: Surroundings): string | undefined {
  const password = environment['VAULT_RECOVERY_PASSWORD'] || undefined;
  if (password === undefined || isRecoveryPassword(password)) return password;
  throw new ConfigError(
    'CONFIG_TYPE',
    `VAULT_RECOVERY_PASSWORD has at least ${RECOVERY_PASSWORD_CHARACTERS_MIN} characters`,
  );
}

/** @throws {ConfigError} */
export function checkedPort<Args extends { readonly port: number | undefined }>(args: Args): Args {
  const { port } = args;
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port <= PORT_MAX)) return args;
  throw new ConfigError('CONFIG_TYPE', `--port is an integer from 0 to ${PORT_MAX}`);
}
