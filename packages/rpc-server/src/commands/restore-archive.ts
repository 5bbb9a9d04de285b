/** `vault-server restore-archive`: the way back from a recovery, once the lost half is found. */
import { restoreArchive } from '@vault/redis-store';
import { resolve } from 'node:path';
import { openOptions } from '../open-database.js';
import { RecoveryMarker } from '../recovery/recovery-marker.js';
import { toolLogger, withRedis } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, textOption } from './command.js';
import type { Command } from './command.js';
import { progressBar } from './progress-bar.js';
import { configFor, sourcesFor } from './surroundings.js';

const WARNING = `This puts a database back that a recovery put aside. What Redis holds now is put into a file of the
same kind first, and is not served any more. Stop the server, and put the lost key half back.
Nothing was done: say --yes to do it.
`;

export const RESTORE_ARCHIVE: Command = {
  names: ['restore-archive'],
  positionals: {
    form: '<archive>',
    rows: {
      archive: { type: 'string', describe: '<datadir>/archived-database_….jsonl' },
    },
  },
  summary: 'Put a database back that a recovery put aside, once its lost key half is found',
  options: {
    ...CONFIG_OPTIONS,
    yes: { type: 'boolean', default: false, describe: 'The server is stopped; do it' },
  },
  examples: [
    [
      '$0 restore-archive /var/lib/vault-server/data/archived-database_20261122T070000Z.jsonl --yes',
      'Then start the server',
    ],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    if (args['yes'] !== true) {
      surroundings.writeError(WARNING);
      return 'usage';
    }
    const archive = resolve(surroundings.workingFolder, textOption(args, 'archive') ?? '');
    const { datadir } = config.settings;
    const bar = await progressBar(surroundings);
    try {
      const { keys, archived } = await withRedis(surroundings, config, async (redis) =>
        restoreArchive(
          archive,
          await openOptions({
            config,
            redis,
            role: 'tool',
            sources: sourcesFor(surroundings, datadir),
            logger: toolLogger(surroundings, config),
            onProgress: (progress) => bar.update(progress),
          }),
        ),
      );
      await new RecoveryMarker(datadir).remove();
      bar.stop();
      const kept =
        archived.path === undefined ? '' : `What stood there is kept in ${archived.path}.\n`;
      surroundings.writeOut(`${keys} keys were put back.\n${kept}Now start the server.\n`);
      return 'ok';
    } finally {
      bar.stop();
    }
  },
};
