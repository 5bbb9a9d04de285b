/** `vault-server keys`: what only the machine of a server can do for its halves. */
import { localSocketOf } from '../config/local-socket.js';
import type { ServerConfig } from '../config/load-config.js';
import { PUT_BACK_PATH } from '../http/local-keys.js';
import type { PutBackAnswer } from '../http/local-keys.js';
import { MachineWatch } from '../lifecycle/machine-watch.js';
import { addHalf } from './add-half.js';
import { askLocally } from './ask-locally.js';
import { CONFIG_OPTIONS, configArguments, textOption } from './command.js';
import type { Command } from './command.js';
import type { ExitReason } from './exit-status.js';
import { configFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

const ACTIONS = {
  'put-back': putBack,
  moved: acceptMachine,
  'add-half-a': (surroundings, config) => addHalf(surroundings, config, 'halfA'),
  'add-half-b': (surroundings, config) => addHalf(surroundings, config, 'halfB'),
} as const satisfies Record<
  string,
  (surroundings: Surroundings, config: ServerConfig) => Promise<ExitReason>
>;

export const KEYS: Command = {
  names: ['keys'],
  positionals: {
    form: '<action>',
    rows: {
      action: {
        choices: Object.keys(ACTIONS),
        describe:
          'put-back: a running server writes lost halves of its keys back, from memory; moved: this data folder was moved to this machine on purpose; add-half-a, add-half-b: lines of a half that was found are read from standard input, and put beside what is in its place',
      },
    },
  },
  summary: 'Put lost or found key halves back; accept a machine that was moved',
  options: { ...CONFIG_OPTIONS },
  examples: [
    ['$0 keys put-back', 'When the log says that a half is not in its place any more'],
    ['$0 keys add-half-a < half-a', 'When a half that was lost is found; nothing is replaced'],
    ['$0 keys moved', 'When status calls this machine a copy, and the other one is gone'],
  ],
  run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    return ACTIONS[textOption(args, 'action') as keyof typeof ACTIONS](surroundings, config);
  },
};

async function putBack(surroundings: Surroundings, config: ServerConfig): Promise<ExitReason> {
  const socketPath = localSocketOf(config.settings);
  let answer: PutBackAnswer;
  try {
    answer = await askLocally<PutBackAnswer>(socketPath, 'POST', PUT_BACK_PATH);
  } catch (error) {
    const { code = 'no answer' } = error as NodeJS.ErrnoException;
    surroundings.writeError(
      `No server answers at ${socketPath} (${code}). Only a running server has its keys in memory; without one, use a recovery kit: vault-server recovery-kit restore\n`,
    );
    return 'failed';
  }
  const { keyIds, message } = answer;
  if (keyIds === undefined) {
    surroundings.writeError(`Nothing was put back: ${message ?? 'the server did not say why'}\n`);
    return 'failed';
  }
  surroundings.writeOut(
    keyIds.length === 0
      ? 'The halves of all keys in use are in their places: there was nothing to put back.\n'
      : `The halves of key ${keyIds.join(', ')} are in their places again.\n`,
  );
  return 'ok';
}

async function acceptMachine(
  surroundings: Surroundings,
  config: ServerConfig,
): Promise<ExitReason> {
  const isNews = await new MachineWatch(config.settings.datadir).accept();
  surroundings.writeOut(
    isNews
      ? 'From now on this machine is the one of this data folder.\n'
      : 'This machine is the one of this data folder: there was nothing to accept.\n',
  );
  return 'ok';
}
