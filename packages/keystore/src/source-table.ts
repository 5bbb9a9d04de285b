/** The table of half sources: one row holds all that is known of one. */
import { dirname, join, relative, resolve } from 'node:path';
import type { HalfSource, HalfSourceName } from './half-source.js';
import type { FileOwner } from './internal/secret-file.js';
import { invalid } from './source-config.js';
import type { FieldRules } from './source-config.js';
import { CommandPlace } from './sources/command-source.js';
import type { CommandLine } from './sources/command-source.js';
import { EnvSource } from './sources/env-source.js';
import { FilePlace } from './sources/file-source.js';
import { MachineSource } from './sources/machine-source.js';
import type { MachinePart } from './sources/machine-source.js';
import { StoredHalfSource } from './sources/stored-half-source.js';
import { SystemdPlace } from './sources/systemd-source.js';
import { XenstorePlace } from './sources/xenstore-source.js';
import { XENSTORE_PATHS } from './xenstore/transport.js';

/** What sources need of the process and the machine; only a `main` file reads it there. */
export interface SourceEnvironment {
  /** `process.env`. Read: the variables that the configuration names, `XENSTORED_PATH`, `CREDENTIALS_DIRECTORY`, `PATH`, `HOME`. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Absolute: where the server keeps its files. */
  readonly dataDir: string;
  /** `process.geteuid()`; `undefined` where there are no user ids. */
  readonly userId: number | undefined;
  /** `process.getegid()` */
  readonly groupId: number | undefined;
}

/** The configuration of each source, after its fields were checked. */
export interface SourceConfigs {
  readonly xenstore: {
    readonly path?: string;
    readonly socketPath?: string;
    readonly timeLimitMs?: number;
  };
  readonly file: { readonly path?: string; readonly shared?: boolean };
  readonly env: { readonly variable?: string; readonly previousVariable?: string };
  readonly machine: {
    readonly saltPath?: string;
    readonly recipe?: 'parts' | 'conexor';
    readonly parts?: readonly MachinePart[];
    readonly iterations?: number;
    readonly osDescription?: string;
  };
  readonly command: {
    readonly read: CommandLine;
    readonly write?: CommandLine;
    readonly missingExitStatus?: number;
    readonly passVariables?: readonly string[];
    readonly shared?: boolean;
    readonly compareAndSwap?: boolean;
    readonly conflictExitStatus?: number;
    readonly timeLimitMs?: number;
  };
  readonly systemd: { readonly credential?: string };
}

/** `{ source: 'file', path: '…' }`, for each source its own fields. */
export type HalfSourceConfig = {
  [Name in HalfSourceName]: { readonly source: Name } & SourceConfigs[Name];
}[HalfSourceName];

export interface SourceRow<Config> {
  /** The place where nothing is configured, as documentation says it. */
  readonly defaultPlace: string;
  readonly writable: 'yes' | 'no' | 'optional';
  readonly fields: FieldRules;
  create(config: Config, environment: SourceEnvironment, where: string): HalfSource;
}

export const DEFAULT_XENSTORE_PATH = 'vm-data/vault-encryption-key';
export const DEFAULT_FILE_NAME = 'vault-encryption-key';
export const DEFAULT_SALT_NAME = 'vault-machine-salt';
export const DEFAULT_VARIABLE = 'VAULT_MASTER_KEY';

export const SOURCE_TABLE: {
  readonly [Name in HalfSourceName]: SourceRow<SourceConfigs[Name]>;
} = {
  xenstore: {
    defaultPlace: DEFAULT_XENSTORE_PATH,
    writable: 'yes',
    fields: {
      path: { kind: 'xenstorePath', doc: `the node; default ${DEFAULT_XENSTORE_PATH}` },
      socketPath: {
        kind: 'absolutePath',
        doc: `socket or device; default $XENSTORED_PATH, else the first of ${XENSTORE_PATHS.join(', ')}`,
      },
      timeLimitMs: { kind: 'timeLimitMs', doc: 'for each request, ms; default 5000' },
    },
    create: ({ path, socketPath, timeLimitMs }, environment) =>
      new StoredHalfSource(
        new XenstorePlace({
          path: path ?? DEFAULT_XENSTORE_PATH,
          transportPaths: xenstorePaths(environment, socketPath),
          commandEnvironment: xenstoreCommandEnvironment(environment, socketPath),
          ...(timeLimitMs === undefined ? {} : { timeLimitMs }),
        }),
      ),
  },
  file: {
    defaultPlace: `<datadir>/${DEFAULT_FILE_NAME}`,
    writable: 'yes',
    fields: {
      path: { kind: 'absolutePath', doc: `the file; default <datadir>/${DEFAULT_FILE_NAME}` },
      shared: {
        kind: 'boolean',
        doc: 'whether other machines mount it, too: then it is changed under a lock `<path>.lock`; default false',
      },
    },
    create: ({ path, shared }, environment) =>
      new StoredHalfSource(
        new FilePlace({
          path: resolve(path ?? join(environment.dataDir, DEFAULT_FILE_NAME)),
          isShared: shared ?? false,
          owner: ownerOf(environment),
        }),
      ),
  },
  env: {
    defaultPlace: DEFAULT_VARIABLE,
    writable: 'no',
    fields: {
      variable: {
        kind: 'variableName',
        doc: `base64 of 32 bytes, or 64 hex digits; default ${DEFAULT_VARIABLE}`,
      },
      previousVariable: {
        kind: 'variableName',
        doc: 'earlier ones, comma separated, oldest first; default <variable>_PREVIOUS',
      },
    },
    create: ({ variable = DEFAULT_VARIABLE, previousVariable }, { variables }) =>
      new EnvSource({
        variable,
        previousVariable: previousVariable ?? `${variable}_PREVIOUS`,
        variables,
      }),
  },
  machine: {
    defaultPlace: `salt <datadir>/../${DEFAULT_SALT_NAME}`,
    writable: 'no',
    fields: {
      saltPath: {
        kind: 'absolutePath',
        doc: `32 secret bytes, outside the datadir; default <datadir>/../${DEFAULT_SALT_NAME}`,
      },
      recipe: { kind: 'machineRecipe', doc: '"parts" or "conexor"; default "parts"' },
      parts: { kind: 'machineParts', doc: 'what is hashed; default machine-id, user' },
      iterations: { kind: 'iterations', doc: 'of PBKDF2, at least 100000; default 600000' },
      osDescription: { kind: 'string', doc: 'in place of what this machine says' },
    },
    create: ({ saltPath, ...options }, environment, where) =>
      new MachineSource({
        ...options,
        saltPath: checkedSaltPath(saltPath, environment.dataDir, where),
        owner: ownerOf(environment),
      }),
  },
  command: {
    defaultPlace: 'none: `read` is required',
    writable: 'optional',
    fields: {
      read: { kind: 'commandLine', isRequired: true, doc: 'prints the value on standard output' },
      write: {
        kind: 'commandLine',
        doc: 'takes the whole new value on standard input (empty: nothing is left); default read-only',
      },
      missingExitStatus: {
        kind: 'exitStatus',
        doc: 'of `read` when there is no such secret; default none (status 0 without output says it)',
      },
      passVariables: {
        kind: 'variableNames',
        doc: 'what the programs get of the environment beside PATH and HOME; default none',
      },
      shared: {
        kind: 'boolean',
        doc: 'whether other machines reach the same secret: of this server, or a copy of this one; default true',
      },
      compareAndSwap: {
        kind: 'boolean',
        doc: 'whether `write` stores only where the value has the SHA-256 in $VAULT_EXPECTED_SHA256 (of what `read` printed; `none`: no value); default false',
      },
      conflictExitStatus: {
        kind: 'exitStatus',
        doc: 'of `write` where another value stands there; default 75',
      },
      timeLimitMs: { kind: 'timeLimitMs', doc: 'for each run, ms; default 10000' },
    },
    create: ({ passVariables = [], shared, ...options }, { variables }) =>
      new StoredHalfSource(
        new CommandPlace({
          ...options,
          isShared: shared ?? true,
          environment: childEnvironment(variables, passVariables),
        }),
      ),
  },
  systemd: {
    defaultPlace: `$CREDENTIALS_DIRECTORY/${DEFAULT_FILE_NAME}`,
    writable: 'no',
    fields: {
      credential: { kind: 'fileName', doc: `its name; default ${DEFAULT_FILE_NAME}` },
    },
    create: ({ credential }, { variables }) =>
      new StoredHalfSource(
        new SystemdPlace({
          credential: credential ?? DEFAULT_FILE_NAME,
          directory: variables['CREDENTIALS_DIRECTORY'],
        }),
      ),
  },
};

/** Where a XenStore is looked for. */
export function xenstorePaths(
  { variables }: SourceEnvironment,
  socketPath?: string,
): readonly string[] {
  const given = socketPath ?? variables['XENSTORED_PATH'];
  return given === undefined || given === '' ? XENSTORE_PATHS : [given];
}

function xenstoreCommandEnvironment(
  { variables }: SourceEnvironment,
  socketPath?: string,
): Readonly<Record<string, string>> {
  const environment = childEnvironment(variables, ['XENSTORED_PATH', 'XENSTORED_RUNDIR']);
  return socketPath === undefined ? environment : { ...environment, XENSTORED_PATH: socketPath };
}

/** Children get what they need and nothing else; messages in English, since some are compared. */
function childEnvironment(
  variables: SourceEnvironment['variables'],
  names: readonly string[],
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = { LC_ALL: 'C' };
  for (const name of ['PATH', 'HOME', ...names]) {
    const value = variables[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

function ownerOf({ userId, groupId }: SourceEnvironment): FileOwner {
  return { userId, groupId };
}

/** Beside the datadir, never in it: whoever copies the datadir must not have the salt. */
function checkedSaltPath(saltPath: string | undefined, dataDir: string, where: string): string {
  const path = resolve(saltPath ?? join(dirname(resolve(dataDir)), DEFAULT_SALT_NAME));
  const fromDataDir = relative(resolve(dataDir), path);
  if (fromDataDir === '' || !fromDataDir.startsWith('..')) {
    throw invalid(where, `"saltPath" must be outside the datadir ${dataDir}`);
  }
  return path;
}
