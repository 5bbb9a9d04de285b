/** `vault-server init`: writes a commented configuration with encryption on. */
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { createFile } from '@vault/crypto/files';
import { defaultPair } from '@vault/keystore';
import { configTemplate } from '../config/config-template.js';
import { ConfigError } from '../config/errors.js';
import { SYSTEM_CONFIG_FILE, userConfigFile } from '../config/load-config.js';
import { SETTINGS } from '../config/settings.js';
import { CONFIG_OPTIONS, textOption } from './command.js';
import type { Command, CommandArguments } from './command.js';
import { sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

const ROOT_USER_ID = 0;

export const INIT: Command = {
  names: ['init'],
  summary: 'Write a first configuration, with encryption on; never overwrites one',
  options: {
    config: {
      ...CONFIG_OPTIONS.config,
      describe: `File to write (default: ${SYSTEM_CONFIG_FILE} as root, else $XDG_CONFIG_HOME/vault-server/config.toml)`,
    },
    datadir: { ...CONFIG_OPTIONS.datadir, describe: 'Data folder to write into it' },
  },
  examples: [
    ['$0 init', 'At the place where vault-server looks for it'],
    ['$0 init --config ./config.toml --datadir ./data', 'Everything in this folder'],
  ],
  async run(surroundings, args) {
    const file = targetFile(surroundings, args);
    const datadir = resolve(
      surroundings.workingFolder,
      textOption(args, 'datadir') ?? SETTINGS.datadir.default,
    );
    const pair = await defaultPair(sourcesFor(surroundings, datadir));
    const text = configTemplate({
      datadir,
      listen: SETTINGS['http.listen'].default,
      halfA: { ...pair.halfA },
      halfB: { ...pair.halfB },
    });
    await writeNew(file, text);
    surroundings.writeOut(
      `Wrote ${file}: encryption is on, half A of the key goes to "${pair.halfA.source}" (${pair.reason}), half B to "${pair.halfB.source}".\n` +
        `Start the server: vault-server --config ${file}\n`,
    );
    return 'ok';
  },
};

function targetFile({ environment, userId, workingFolder }: Surroundings, args: CommandArguments) {
  const given = textOption(args, 'config');
  if (given !== undefined) return resolve(workingFolder, given);
  if (userId === ROOT_USER_ID) return SYSTEM_CONFIG_FILE;
  const file = userConfigFile(environment);
  if (file === undefined) {
    throw new ConfigError(
      'CONFIG_UNREADABLE',
      'neither HOME nor XDG_CONFIG_HOME is set: give --config',
    );
  }
  return file;
}

/** Whole or not at all, and never over a file that is there. */
async function writeNew(path: string, text: string): Promise<void> {
  let isNew: boolean;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    // It may be given a password later.
    isNew = await createFile(path, text, { mode: 0o600 });
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new ConfigError('CONFIG_UNREADABLE', `${path} cannot be written (${code})`);
  }
  if (!isNew) {
    throw new ConfigError('CONFIG_EXISTS', `${path} is there already: it is left as it is`);
  }
}
