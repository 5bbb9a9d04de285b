/** `vault-server restore-archive`: the way back from a recovery, once the lost half is found. */
import { inspectArchive } from '@vault/redis-store';
import { resolve } from 'node:path';
import { prepareDataFolder } from '../data-folder.js';
import { openOptions } from '../open-database.js';
import { restoreNotedArchive } from '../recovery/restore-archive.js';
import { toolLogger, withRedis } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, textOption } from './command.js';
import type { Command } from './command.js';
import { progressBar } from './progress-bar.js';
import { archivePlanText, archivesText } from './restore-archive-text.js';
import { configFor, sourcesFor } from './surroundings.js';

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
    'allow-unprotected': {
      type: 'boolean',
      default: false,
      describe: 'Believe an archive that no key protects, or whose plaintext records none does',
    },
    yes: { type: 'boolean', default: false, describe: 'The server is stopped; do it' },
  },
  examples: [
    [
      '$0 restore-archive /var/lib/vault-server/data/archived-database_20261122T070000Z.jsonl',
      'Say what it holds, and do nothing',
    ],
    [
      '$0 restore-archive /var/lib/vault-server/data/archived-database_20261122T070000Z.jsonl --yes',
      'Do it; then start the server',
    ],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const path = resolve(surroundings.workingFolder, textOption(args, 'archive') ?? '');
    const { datadir } = config.settings;
    await prepareDataFolder(datadir);
    const bar = await progressBar(surroundings);
    let archives: readonly string[] = [];
    try {
      return await withRedis(surroundings, config, async (redis) => {
        const options = await openOptions({
          config,
          redis,
          role: 'tool',
          sources: sourcesFor(surroundings, datadir),
          logger: toolLogger(surroundings, config),
          onProgress: (progress) => bar.update(progress),
        });
        if (args['yes'] !== true) {
          const inspection = await inspectArchive(path, options);
          bar.stop();
          surroundings.writeError(archivePlanText(inspection));
          return 'usage';
        }
        const allowUnprotected = args['allow-unprotected'] === true;
        const { keys } = await restoreNotedArchive(
          path,
          { ...options, allowUnprotected },
          (paths) => {
            archives = paths;
          },
        );
        bar.stop();
        const kept = await archivesText(archives);
        surroundings.writeOut(`${keys} keys were put back.\n${kept}Now start the server.\n`);
        return 'ok';
      });
    } catch (error) {
      bar.stop();
      if (archives.length > 0) {
        surroundings.writeError(
          `It did not come to its end. ${await archivesText(archives)}Mend the cause, and run the same command again.\n`,
        );
      }
      throw error;
    } finally {
      bar.stop();
    }
  },
};
