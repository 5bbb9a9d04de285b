/** The form of a command: one file each in this folder, all listed in `command-table.ts`. */
import type { Options, PositionalOptions } from 'yargs';
import type { ExitReason } from './exit-status.js';
import type { Surroundings } from './surroundings.js';

/** Values of the command line: of the options that the command declares, and no others. */
export interface CommandArguments {
  readonly [option: string]: unknown;
}

export interface Command {
  /** `['start', '$0']`: first the name, then aliases. */
  readonly names: readonly string[];
  /** Arguments without a name, in their order, as yargs writes them: `'<action> [kit]'`; each has its row. */
  readonly positionals?: {
    readonly form: string;
    readonly rows: Readonly<Record<string, PositionalOptions>>;
  };
  readonly summary: string;
  readonly options: Readonly<Record<string, Options>>;
  /** Command line and what it does, for `--help`. */
  readonly examples: readonly (readonly [string, string])[];
  readonly run: (surroundings: Surroundings, args: CommandArguments) => Promise<ExitReason>;
}

export const CONFIG_OPTIONS = {
  config: {
    type: 'string',
    requiresArg: true,
    describe:
      'Configuration file (default: /etc/vault-server/config.toml, else $XDG_CONFIG_HOME/vault-server/config.toml)',
  },
  datadir: {
    type: 'string',
    requiresArg: true,
    describe: 'Data folder, instead of the configured one',
  },
} as const satisfies Record<string, Options>;

export const JSON_OPTION = {
  json: { type: 'boolean', default: false, describe: 'Print JSON, for programs' },
} as const satisfies Record<string, Options>;

/** A string option, `undefined` when it was not given. */
export function textOption(args: CommandArguments, name: string): string | undefined {
  const value = args[name];
  return typeof value === 'string' ? value : undefined;
}

/** The options that say which configuration is meant. */
export function configArguments(args: CommandArguments): {
  config: string | undefined;
  datadir: string | undefined;
  port: number | undefined;
} {
  const port = args['port'];
  return {
    config: textOption(args, 'config'),
    datadir: textOption(args, 'datadir'),
    port: typeof port === 'number' ? port : undefined,
  };
}
