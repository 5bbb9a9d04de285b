/** `vault-server restore-migration-backup`: a database out of the backup that a migration left, where the keys or Redis' data are lost. */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { OpenOptions } from '@vault/redis-store';
import { openContainer } from '../backup/container.js';
import { BackupError } from '../backup/errors.js';
import type { ServerConfig } from '../config/load-config.js';
import { prepareDataFolder } from '../data-folder.js';
import { openOptions } from '../open-database.js';
import { planRestore, restoreMigrationBackup } from '../recovery/restore-migration-backup.js';
import type { RestoreParts } from '../recovery/restore-migration-backup.js';
import { StagedUpload } from '../recovery/staged-upload.js';
import { toolLogger, withRedis } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, textOption } from './command.js';
import type { Command, CommandArguments } from './command.js';
import type { ExitReason } from './exit-status.js';
import { progressBar } from './progress-bar.js';
import { planText, restoredText } from './restore-text.js';
import { SecretInputError, secretFromFile } from './secret-input.js';
import { configFor, sourcesFor } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

const STANDARD_INPUT = '-';

export const RESTORE_MIGRATION_BACKUP: Command = {
  names: ['restore-migration-backup'],
  positionals: {
    form: '<backup>',
    rows: {
      backup: {
        type: 'string',
        describe: '<datadir>/encryption-backup.json, or - for standard input',
      },
    },
  },
  summary: 'Make a database out of the backup that a migration left, once its keys are lost',
  options: {
    ...CONFIG_OPTIONS,
    'passphrase-file': {
      type: 'string',
      requiresArg: true,
      describe:
        'File, closed to group and others, whose first line opens a protected backup (default: backup.passphraseFile, else it is asked for)',
    },
    'skip-invalid': {
      type: 'boolean',
      default: false,
      describe: 'Leave out records that cannot be put back, and name them',
    },
    'allow-unprotected': {
      type: 'boolean',
      default: false,
      describe: 'Believe plaintext in a file that no passphrase protects, although one is named',
    },
    yes: { type: 'boolean', default: false, describe: 'The server is stopped; do it' },
  },
  examples: [
    [
      '$0 restore-migration-backup /var/lib/vault-server/data/encryption-backup.json',
      'Say what it would mean, and do nothing',
    ],
    [
      '$0 restore-migration-backup /var/lib/vault-server/data/encryption-backup.json --yes',
      'Do it; then start the server',
    ],
    [
      'gpg --decrypt encryption-backup.json.pgp | $0 restore-migration-backup - --yes',
      'One that is encrypted to a recipient',
    ],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const backup = textOption(args, 'backup') ?? '';
    const path =
      backup === STANDARD_INPUT ? undefined : resolve(surroundings.workingFolder, backup);
    const source =
      path === undefined
        ? Readable.from(surroundings.secretInput.bytes(), { objectMode: false })
        : createReadStream(path);
    await prepareDataFolder(config.settings.datadir);
    // Read more than once, and the same bytes each time.
    const staged = await StagedUpload.take(source, config.settings.datadir);
    try {
      const isUnderPassphrase = await isProtected(staged);
      const passphrase = isUnderPassphrase
        ? await passphraseOf(surroundings, args, config, path)
        : undefined;
      return await restore(surroundings, args, config, path, {
        open: () => openContainer(staged.open(), { any: passphrase }),
        mayBePlaintext:
          isUnderPassphrase ||
          args['allow-unprotected'] === true ||
          passphraseFileOf(args, config) === undefined,
      });
    } finally {
      await staged.remove();
    }
  },
};

async function restore(
  surroundings: Surroundings,
  args: CommandArguments,
  config: ServerConfig,
  path: string | undefined,
  file: Pick<RestoreParts, 'open' | 'mayBePlaintext'>,
): Promise<ExitReason> {
  const { datadir } = config.settings;
  const bar = await progressBar(surroundings);
  try {
    return await withRedis(surroundings, config, async (redis) => {
      const options: OpenOptions = await openOptions({
        config,
        redis,
        role: 'server',
        sources: sourcesFor(surroundings, datadir),
        logger: toolLogger(surroundings, config),
        onProgress: (progress) => bar.update(progress),
      });
      const parts = { options, ...file, skipInvalid: args['skip-invalid'] === true };
      const plan = await planRestore(parts);
      if (args['yes'] !== true) {
        bar.stop();
        surroundings.writeError(planText(plan, options.encrypt === true));
        return 'usage';
      }
      const restored = await restoreMigrationBackup(parts, plan);
      if (path !== undefined) await removeManifest(path, datadir);
      bar.stop();
      surroundings.writeOut(await restoredText(restored, path));
      return 'ok';
    });
  } finally {
    bar.stop();
  }
}

/** What a retry of the failed migration would have compared with: nobody needs it any more. */
async function removeManifest(path: string, datadir: string): Promise<void> {
  if (dirname(path) === resolve(datadir)) await rm(`${path}.manifest`, { force: true });
}

/** Where one is named, the backups of this server are under it. */
function passphraseFileOf(args: CommandArguments, { settings }: ServerConfig): string | undefined {
  return textOption(args, 'passphrase-file') ?? settings['backup.passphraseFile'];
}

/** Of a file that is protected. */
async function passphraseOf(
  { secretInput }: Surroundings,
  args: CommandArguments,
  { settings }: ServerConfig,
  path: string | undefined,
): Promise<string> {
  const file = textOption(args, 'passphrase-file');
  if (file !== undefined) return secretFromFile('--passphrase-file', file);
  const configured = settings['backup.passphraseFile'];
  if (configured !== undefined) return secretFromFile('backup.passphraseFile', configured);
  if (path !== undefined) return secretInput.ask('passphrase', false);
  throw new SecretInputError('the backup is protected: name a --passphrase-file');
}

async function isProtected(staged: StagedUpload): Promise<boolean> {
  const plain = openContainer(staged.open(), { any: undefined });
  try {
    await plain.next();
    return false;
  } catch (error) {
    if (error instanceof BackupError && error.code === 'BACKUP_PASSPHRASE_NEEDED') return true;
    throw error;
  } finally {
    await plain.return(undefined);
  }
}
