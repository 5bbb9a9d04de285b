/** `vault-server pin-encrypted`: from now on a line in the configuration does not decrypt the database alone. */
import { withDatabase } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments } from './command.js';
import type { Command } from './command.js';
import { configFor } from './surroundings.js';

const PINNED = `Pinned: encryptCredentialDatabase = false decrypts this database only after vault-server confirm-decrypt.
`;
const UNPINNED = `No longer pinned: encryptCredentialDatabase = false decrypts this database at the next start.
`;

export const PIN_ENCRYPTED: Command = {
  names: ['pin-encrypted'],
  summary: 'Mark the database, so that decrypting it takes a confirmation on this machine',
  options: {
    ...CONFIG_OPTIONS,
    off: { type: 'boolean', default: false, describe: 'Take the mark away' },
  },
  examples: [
    ['$0 pin-encrypted', 'A line of the configuration alone decrypts it no more'],
    ['$0 pin-encrypted --off', 'It does again'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const isPinned = args['off'] !== true;
    await withDatabase(surroundings, config, (database) => database.pin(isPinned));
    surroundings.writeOut(isPinned ? PINNED : UNPINNED);
    return 'ok';
  },
};
