import type { Argv, InferredOptionTypes, Options, PositionalOptions } from 'yargs';
import type { CliContext } from '../cli-context.js';
import { UsageError } from '../errors.js';

/** Options that every command takes. */
export const GLOBAL_OPTIONS = {
  url: {
    alias: 'u',
    type: 'string',
    requiresArg: true,
    description:
      'Server to use instead of the registered one: https://[<token>@]host[:port][/path], or unix:/path',
  },
  socket: {
    type: 'string',
    requiresArg: true,
    description: 'Local socket of a server on this machine, instead of --url',
  },
  user: {
    type: 'string',
    requiresArg: true,
    description:
      'Sign in with this user and a password, not with a token. The password is asked for, or is the first line of standard input; only a parameter of the form name=-, or an upload, takes what follows',
  },
  allowUnauthorized: {
    alias: 'au',
    type: 'boolean',
    default: false,
    description: 'Accept any TLS certificate of the server',
  },
} as const satisfies Record<string, Options>;

export type GlobalArguments = InferredOptionTypes<typeof GLOBAL_OPTIONS>;

/** The option of all commands that print data. */
export const JSON_OPTION = {
  json: { type: 'boolean', default: false, description: 'Print JSON, for programs' },
} as const satisfies Record<string, Options>;

export type Invocation = (context: CliContext) => Promise<void>;

/** One command, ready to be added to the parser. Adding it runs nothing: it only notes what was chosen. */
export interface Command {
  /** First word of the usage; `$0` for what is no other command. */
  readonly name: string;
  readonly summary: string;
  /** Besides the global ones, without dashes. */
  readonly optionNames: readonly string[];
  readonly addTo: (parser: Argv, choose: (invocation: Invocation) => void) => Argv;
}

/** What one command is: all that is known of it in one row. */
export interface CommandSpec<
  P extends Record<string, PositionalOptions>,
  O extends Record<string, Options>,
> {
  /** As yargs reads it: `register <url> <user> [password]`. Several: the first is shown, all work. */
  readonly usage: string | readonly string[];
  readonly summary: string;
  readonly positionals: P;
  readonly options: O;
  readonly examples: readonly (readonly [commandLine: string, what: string])[];
  readonly run: (
    args: GlobalArguments & InferredOptionTypes<P> & InferredOptionTypes<O>,
    context: CliContext,
  ) => Promise<void>;
}

export function defineCommand<
  P extends Record<string, PositionalOptions>,
  O extends Record<string, Options>,
>(spec: CommandSpec<P, O>): Command {
  const usage = typeof spec.usage === 'string' ? [spec.usage] : spec.usage;
  return {
    name: usage[0]?.split(' ')[0] ?? '',
    summary: spec.summary,
    optionNames: Object.keys(spec.options),
    addTo: (parser, choose) =>
      parser.command(
        usage,
        spec.summary,
        (builder) => {
          for (const [name, options] of Object.entries(spec.positionals)) {
            builder.positional(name, options);
          }
          builder.options(spec.options);
          for (const [commandLine, what] of spec.examples) builder.example(commandLine, what);
          return builder;
        },
        (args) => {
          refuseRepeated(args, { ...GLOBAL_OPTIONS, ...spec.options });
          // yargs has checked the arguments against the very tables that the type is inferred from.
          choose((context) => spec.run(args as unknown as Parameters<typeof spec.run>[0], context));
        },
      ),
  };
}

/** yargs makes a list of an option that is given twice. */
function refuseRepeated(args: Readonly<Record<string, unknown>>, options: object): void {
  for (const name of Object.keys(options)) {
    if (Array.isArray(args[name])) throw new UsageError(`--${name} is given twice`);
  }
}
