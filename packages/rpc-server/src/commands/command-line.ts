/** The command line of `vault-server`: from arguments to a command, and from its end to an exit status. */
import { DegradedError } from '@vault/redis-store';
import yargs from 'yargs';
import type { Argv } from 'yargs';
import { ConfigError } from '../config/errors.js';
import { describeError } from '../log.js';
import { RecoveryKitError } from '../recovery/errors.js';
import type { Command, CommandArguments } from './command.js';
import { COMMANDS } from './command-table.js';
import { EXIT_STATUSES } from './exit-status.js';
import type { ExitReason } from './exit-status.js';
import { SecretInputError } from './secret-input.js';
import type { Surroundings } from './surroundings.js';

const EPILOGUE = [
  'vault-server keeps the credentials that a service holds for other systems encrypted in Redis. The key is split in two halves kept in two places (half A: XenStore, or derived from the machine; half B: a file in the data folder), and both are needed.',
  '',
  'A first run:',
  '  vault-server init   writes a configuration with encryption on',
  '  vault-server        runs, and shows the first administrator once',
  '  vault-cli register  signs in; then vault-cli server.getAll and so on',
  '',
  'To switch encryption on or off, set redis.encryptCredentialDatabase in the configuration and restart: all records are migrated before the API serves. When something is wrong the server stays up in degraded mode, serves nothing and changes nothing: vault-server status says why and what to do.',
  '',
  'Exit status:',
  ...Object.values(EXIT_STATUSES).map(({ status, when }) => `  ${status}  ${when}`),
].join('\n');

/** Wrong arguments: the message says what. */
class UsageError extends Error {}

/** Runs what the arguments say. @returns the exit status of the process */
export async function runCommandLine(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  let ended: ExitReason = 'ok';
  let parser: Argv = yargs([...args], surroundings.workingFolder)
    .scriptName('vault-server')
    .usage('$0 [command] [options]')
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .strict()
    .version(surroundings.version)
    .help()
    .alias({ help: 'h', version: 'V' })
    .wrap(Math.min(surroundings.columns, 110))
    .epilogue(EPILOGUE)
    .completion('completion', 'Print a completion script for bash or zsh')
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(message);
    });
  for (const command of COMMANDS) {
    parser = addCommand(parser, command, async (values) => {
      ended = await command.run(surroundings, values);
    });
  }
  try {
    await parser.parseAsync();
  } catch (error) {
    ended = report(error, surroundings);
  }
  return EXIT_STATUSES[ended].status;
}

function addCommand(
  parser: Argv,
  { names, positionals, summary, options, examples }: Command,
  run: (values: CommandArguments) => Promise<void>,
): Argv {
  const form = positionals === undefined ? '' : ` ${positionals.form}`;
  return parser.command(
    names.map((name) => `${name}${form}`),
    summary,
    (each) => {
      for (const [line, what] of examples) each.example(line, what);
      for (const [name, row] of Object.entries(positionals?.rows ?? {})) each.positional(name, row);
      return each.options({ ...options });
    },
    (values) => run(values),
  );
}

function report(error: unknown, { writeError }: Surroundings): ExitReason {
  if (error instanceof UsageError) {
    writeError(`vault-server: ${error.message}\nTry: vault-server --help\n`);
    return 'usage';
  }
  if (error instanceof ConfigError) {
    writeError(`vault-server: ${error.message}\n`);
    return 'usage';
  }
  if (error instanceof DegradedError) {
    const { cause, advice } = error.details;
    const more = [cause, advice].filter((text) => text !== undefined).map((text) => `  ${text}\n`);
    writeError(`vault-server: ${error.message}\n${more.join('')}  See: vault-server status\n`);
    return 'failed';
  }
  if (error instanceof SecretInputError) {
    writeError(`vault-server: ${error.message}\n`);
    return 'usage';
  }
  if (error instanceof RecoveryKitError) {
    writeError(`vault-server: ${error.message}\n`);
    return 'failed';
  }
  writeError(`vault-server: ${describeError(error)}\n`);
  return 'failed';
}
