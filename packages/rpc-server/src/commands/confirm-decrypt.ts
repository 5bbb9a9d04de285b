/** `vault-server confirm-decrypt`: the one confirmation that a pinned database wants before it is decrypted. */
import { withDatabase } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments } from './command.js';
import type { Command } from './command.js';
import { configFor } from './surroundings.js';

const WARNING = `The database is decrypted by the next start of the server in this data folder whose configuration says
encryptCredentialDatabase = false: all credentials are then stored in plaintext, and the key is deleted.
Stop all other servers of the database first. The confirmation is good once; a change of the database before
that, such as a rotation, takes it back.
`;

export const CONFIRM_DECRYPT: Command = {
  names: ['confirm-decrypt'],
  summary: 'Confirm that a pinned database may be decrypted, once',
  options: {
    ...CONFIG_OPTIONS,
    yes: { type: 'boolean', default: false, describe: 'I want the credentials in plaintext' },
  },
  examples: [
    ['$0 confirm-decrypt', 'Say what it would mean, and do nothing'],
    ['$0 confirm-decrypt --yes', 'Do it; then restart the server with the setting false'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    if (args['yes'] !== true) {
      surroundings.writeError(`${WARNING}Nothing was done: say --yes to do it.\n`);
      return 'usage';
    }
    await withDatabase(surroundings, config, (database) => database.confirmDecryption());
    surroundings.writeOut(
      'Confirmed, once. Now restart the server, with encryptCredentialDatabase = false.\n',
    );
    return 'ok';
  },
};
