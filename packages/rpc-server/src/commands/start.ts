/** `vault-server`, `vault-server start`: runs the server in the foreground. */
import { VaultServer } from '../server.js';
import { ConfigError } from '../config/errors.js';
import { CONFIG_OPTIONS, configArguments } from './command.js';
import type { Command } from './command.js';
import { configFor, logFor, searchPathOf, sourcesFor } from './surroundings.js';

const PORT_MAX = 65_535;

export const START: Command = {
  names: ['start', '$0'],
  summary: 'Run the server in the foreground, until SIGTERM or Ctrl-C',
  options: {
    ...CONFIG_OPTIONS,
    port: { type: 'number', requiresArg: true, describe: 'Port, instead of the configured one' },
  },
  examples: [
    ['$0 --config ./config.toml', 'Run with this configuration'],
    ['$0 --port 7401', 'The same server on another port'],
    ['VAULT_LOG_LEVEL=debug $0', 'Every setting has a variable: see docs/configuration.md'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, checkedPort(configArguments(args)));
    const { environment, writeOut, stopRequested, version } = surroundings;
    const log = logFor(surroundings, config.settings['log.level']);
    const server = await VaultServer.start({
      config,
      sources: sourcesFor(surroundings, config.settings.datadir),
      searchPath: searchPathOf(surroundings),
      log,
      version,
      administrator: {
        // An empty variable is one that was not given.
        email: environment['VAULT_ADMIN_EMAIL'] || undefined,
        password: environment['VAULT_ADMIN_PASSWORD'] || undefined,
      },
      print: (line) => writeOut(`${line}\n`),
    });
    await stopRequested;
    log('server').info('stopping');
    await server.stop();
    return 'ok';
  },
};

function checkedPort<Args extends { readonly port: number | undefined }>(args: Args): Args {
  const { port } = args;
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port <= PORT_MAX)) return args;
  throw new ConfigError('CONFIG_TYPE', `--port is an integer from 0 to ${PORT_MAX}`);
}
