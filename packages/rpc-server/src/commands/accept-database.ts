/** `vault-server accept-database`: the operator vouches for what Redis holds now. */
import { acceptDatabase } from '@vault/redis-store';
import type { AcceptReport } from '@vault/redis-store';
import { openOptions } from '../open-database.js';
import { toolLogger, withRedis } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, JSON_OPTION } from './command.js';
import type { Command } from './command.js';
import { configFor, sourcesFor } from './surroundings.js';
import { jsonText } from './database-report.js';

const WARNING = `The server remembers beside Redis what it last knew of its database, and is degraded when Redis holds
something older or something else: it was restored from a backup, emptied, replaced, or tampered with.
This command makes the server believe what Redis holds now. Do it only when you know why it changed.
What Redis holds stays as it is, but for a seal that no key of yours made; it and what the server knew are
kept in files beside. Plaintext records anybody can have written, an administrator for example: where there are
any, and they would be believed, it takes --allow-unprotected as well. Then restart the server.
`;

export const ACCEPT_DATABASE: Command = {
  names: ['accept-database'],
  summary: 'Believe what Redis holds now, after you restored or replaced it on purpose',
  options: {
    ...CONFIG_OPTIONS,
    ...JSON_OPTION,
    'allow-unprotected': {
      type: 'boolean',
      default: false,
      describe: 'Believe plaintext records, which anybody can have written',
    },
    yes: { type: 'boolean', default: false, describe: 'I know why Redis holds something else' },
  },
  examples: [
    ['$0 accept-database', 'Say what it would mean, and do nothing'],
    ['$0 accept-database --yes', 'Do it; then restart the server'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    if (args['yes'] !== true) {
      surroundings.writeError(`${WARNING}Nothing was done: say --yes to do it.\n`);
      return 'usage';
    }
    const report = await withRedis(surroundings, config, async (redis) =>
      acceptDatabase({
        ...(await openOptions({
          config,
          redis,
          sources: sourcesFor(surroundings, config.settings.datadir),
          role: 'tool',
          logger: toolLogger(surroundings, config),
        })),
        allowUnprotected: args['allow-unprotected'] === true,
      }),
    );
    surroundings.writeOut(args['json'] === true ? jsonText(report) : reportText(report));
    return 'ok';
  },
};

const BASIS_TEXTS = {
  seal: 'Accepted, by its seal',
  fences:
    'Accepted, by the agreement of all its partitions; its seal is made again at the next start',
  nothing:
    'Accepted: nothing in Redis is encrypted; the next start makes a new database of what is there',
} as const satisfies Record<AcceptReport['basis'], string>;

function reportText(report: AcceptReport): string {
  const { basis, databaseId, state, keyId, formerWitness, formerSeal } = report;
  const what =
    databaseId === undefined
      ? ''
      : `: database ${databaseId}, ${state ?? 'state unknown'}${keyId === null ? '' : `, key ${keyId}`}`;
  const kept =
    formerWitness === undefined ? '' : `What the server knew before is kept in ${formerWitness}.\n`;
  const seal =
    formerSeal === undefined
      ? ''
      : `Its seal could not be believed, and was moved to ${formerSeal}.\n`;
  return `${BASIS_TEXTS[basis]}${what}.\n${seal}${kept}Now restart the server.\n`;
}
