/** `vault-server recover`: a server that cannot open its database takes a config backup instead. */
import type { ServerConfig } from '../config/load-config.js';
import { formatListen, isLoopback, parseListen } from '../config/listen-address.js';
import {
  isRecoveryPassword,
  RECOVERY_PASSWORD_CHARACTERS_MIN,
} from '../recovery/recovery-password.js';
import { VaultServer } from '../server.js';
import { CONFIG_OPTIONS, configArguments } from './command.js';
import type { Command } from './command.js';
import { SecretInputError } from './secret-input.js';
import { checkedPort, recoveryPasswordOf, serverOptions } from './start.js';
import { configFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

export const RECOVER: Command = {
  names: ['recover'],
  summary: 'Start a server that cannot open its database, to import a config backup into a new one',
  options: {
    ...CONFIG_OPTIONS,
    port: { type: 'number', requiresArg: true, describe: 'Port, instead of the configured one' },
  },
  examples: [
    ['$0 recover', 'Asks for a recovery password of your choice; then, in another terminal:'],
    [
      'npx vault-cli --url http://127.0.0.1:7401 --user recovery system.importConfig passphrase= @=backup.pgp',
      'The old database is put into a file first; then the server serves',
    ],
  ],
  async run(surroundings, args) {
    const load = () => onLoopback(configFor(surroundings, checkedPort(configArguments(args))));
    const config = load();
    const password = await recoveryPassword(surroundings);
    let server: VaultServer | undefined;
    surroundings.onReload(() => void server?.reload(load));
    server = await VaultServer.start({
      ...serverOptions(surroundings, config),
      recovery: { password, isRequired: true },
    });
    await Promise.race([server.opened, surroundings.stopRequested]);
    if (server.hasNothingToDo) {
      await server.stop();
      return 'failed';
    }
    await surroundings.stopRequested;
    await server.stop();
    return 'ok';
  },
};

/** Recovery has a port of its own on loopback; this one has nothing to say to others meanwhile. */
function onLoopback(config: ServerConfig): ServerConfig {
  const listen = parseListen(config.settings['http.listen']);
  if (listen === undefined || isLoopback(listen.host)) return config;
  const here = formatListen({ host: '127.0.0.1', port: listen.port });
  return { ...config, settings: { ...config.settings, 'http.listen': here } };
}

/** @throws {SecretInputError} when it is too short */
async function recoveryPassword(surroundings: Surroundings): Promise<string> {
  const given = recoveryPasswordOf(surroundings);
  const password = given ?? (await surroundings.secretInput.ask('recovery password', true));
  if (isRecoveryPassword(password)) return password;
  throw new SecretInputError(
    `the recovery password has at least ${RECOVERY_PASSWORD_CHARACTERS_MIN} characters`,
  );
}
