import yargs, { type Argv } from 'yargs';
import type { CliContext } from './cli-context.js';
import { COMMANDS } from './command-table.js';
import { GLOBAL_OPTIONS, type Invocation } from './commands/command.js';
import { complete } from './completion.js';
import { reportError } from './error-report.js';
import { UsageError } from './errors.js';
import { terminalColumns } from './output/terminal-text.js';
import { EXIT_STATUSES, exitStatusOf } from './exit-status.js';

/** Wider help is hard to read. */
const MAX_HELP_COLUMNS = 110;
/** First word when the script of `vault-cli completion` calls; the program's name is the second. */
const COMPLETION_REQUEST = '--get-yargs-completions';
const HELP_ADVICE = '`vault-cli --help` and `vault-cli <command> --help` show how it is used';

/**
 * Runs one command line to its end. Data goes to standard output, all else to standard error.
 *
 * @param argv words after the program's name.
 * @returns the exit status, one of {@link EXIT_STATUSES}. It never rejects.
 */
export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  try {
    const invocation = await parseCommandLine(argv, context);
    await invocation(context);
    return EXIT_STATUSES.OK.status;
  } catch (error) {
    context.stderr.write(reportError(error, context.environment));
    return exitStatusOf(error);
  }
}

/**
 * Finds out what to do, without doing it.
 *
 * @throws UsageError
 */
export async function parseCommandLine(
  argv: readonly string[],
  context: CliContext,
): Promise<Invocation> {
  if (argv[0] === COMPLETION_REQUEST) {
    return async ({ stdout }) => {
      stdout.write(await complete(argv.slice(2), context));
    };
  }
  const words = argv.length === 0 || argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv;
  const methodHelp = helpForMethod(words);
  if (methodHelp !== undefined) return await parseCommandLine(methodHelp, context);
  let chosen: Invocation | undefined;
  const parser = createParser(words, context);
  for (const command of COMMANDS) {
    command.addTo(parser, (invocation) => {
      chosen = invocation;
    });
  }
  if (words.includes('--')) throw new UsageError('-- has no meaning here', HELP_ADVICE);
  const printed = await parse(parser, words);
  if (printed !== '') return writeText(printed);
  if (chosen === undefined) throw new UsageError('no command', HELP_ADVICE);
  return chosen;
}

/** Rejects with what the parser complains of; resolves with what it wants printed. */
async function parse(parser: Argv, words: readonly string[]): Promise<string> {
  let printed = '';
  await parser.parseAsync(words, {}, (error, _args, output) => {
    if (error !== undefined && error !== null) {
      throw error;
    }
    printed = output;
  });
  return printed;
}

/** `server.add --help` is answered by the server, which knows its methods. */
function helpForMethod(argv: readonly string[]): readonly string[] | undefined {
  const [first, ...rest] = argv;
  const isMethod = first !== undefined && !first.startsWith('-') && first.includes('.');
  const asksHelp = rest.includes('--help') || rest.includes('-h');
  return isMethod && asksHelp ? ['list-commands', first] : undefined;
}

function writeText(text: string): Invocation {
  return async ({ stdout }) => {
    stdout.write(`${text}\n`);
  };
}

function createParser(argv: readonly string[], context: CliContext): Argv {
  return yargs()
    .scriptName('vault-cli')
    .usage(
      `$0 <command> …\n$0 <method> [name=value…]\n\nTalks to a vault-server: calls its methods, moves its backups, tells of changes.`,
    )
    .locale('en')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      // `list-objects --host` shows a property; elsewhere an unknown option is a mistake.
      'unknown-options-as-args': argv.includes('list-objects'),
    })
    .options(GLOBAL_OPTIONS)
    .group(Object.keys(GLOBAL_OPTIONS), 'For every command:')
    .strict()
    .demandCommand(1)
    .help()
    .alias('help', 'h')
    .version(context.version)
    .alias('version', 'V')
    .epilogue(epilogue())
    .wrap(Math.min(MAX_HELP_COLUMNS, terminalColumns(context.stdout)))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(withoutValues(message, argv), HELP_ADVICE);
    });
}

/** yargs repeats what is too much, which may be a piece of a password: only option names may be shown. */
function withoutValues(message: string, argv: readonly string[]): string {
  if (!message.startsWith('Unknown argument')) return message;
  const options = argv.filter((word) => /^--[a-z-]+$/i.test(word));
  return options.length === 0
    ? 'an argument too many'
    : `an unknown option, or an argument too many, among: ${options.join(' ')}`;
}

/** What the help ends with: a first tour, and all that a script needs to know. */
function epilogue(): string {
  const statuses = Object.values(EXIT_STATUSES).map(
    ({ status, meaning }) => `  ${String(status).padStart(3)}  ${meaning}`,
  );
  return [
    'First steps:',
    '  vault-cli register http://127.0.0.1:7400 admin',
    '  vault-cli list-commands "server.*"',
    '  vault-cli server.add host=10.0.0.1 username=root password=',
    '  vault-cli server.getAll',
    '  vault-cli system.exportConfig passphrase= @=backup.pgp',
    '',
    'Exit status:',
    ...statuses,
    '',
    'Environment:',
    '  VAULT_URL        server to use instead of the registered one',
    '  VAULT_CLI_TOKEN  token to use instead of the registered one',
    '  VAULT_DATADIR    data folder of a server on this machine: its vault.sock is used where none is registered',
    '  XDG_CONFIG_HOME  where vault-cli/config.json is (mode 0600); default ~/.config',
    '  DEBUG            vault-cli: show the stacks of errors',
  ].join('\n');
}
