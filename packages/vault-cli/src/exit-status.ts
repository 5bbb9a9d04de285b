import type { ERROR_CODES, ErrorName } from '@vault/rpc-server/protocol';
import { CallRefusedError, CliError, type CliErrorCode } from './errors.js';

/** One row a status: what a script may conclude from it. */
export const EXIT_STATUSES = {
  OK: { status: 0, meaning: 'done' },
  REFUSED: { status: 1, meaning: 'the server refused the call or failed (any case not below)' },
  USAGE: {
    status: 2,
    meaning: 'the command line, or what it needs from standard input, is not right',
  },
  SIGN_IN: { status: 3, meaning: 'no server registered, or the credentials were refused' },
  PERMISSION: { status: 4, meaning: 'signed in, but not permitted' },
  CONNECTION: { status: 5, meaning: 'the server cannot be reached, or the connection was lost' },
  NOT_SERVING: { status: 6, meaning: 'the server is up but starting, degraded or in recovery' },
  TRANSFER: {
    status: 7,
    meaning: 'a download or upload did not go through; no half file was left',
  },
  PARAMETERS: { status: 8, meaning: 'the parameters do not fit the method' },
  NOT_FOUND: { status: 9, meaning: 'no such record, or no such method' },
  LOCAL_FILE: { status: 10, meaning: 'a local file (configuration, source, target) is unusable' },
  INTERRUPTED: { status: 130, meaning: 'stopped by Ctrl-C or SIGTERM' },
} as const satisfies Record<string, { readonly status: number; readonly meaning: string }>;

export type ExitStatusName = keyof typeof EXIT_STATUSES;

/** What the server answered, to the name of the exit status. */
interface ServerErrorRow<Code extends number> {
  readonly code: Code;
  readonly exit: ExitStatusName;
  readonly advice?: string;
}

/**
 * Every error code of the protocol. The compiler holds names and integers against the server's own
 * table, so no value has to be imported from it.
 */
export const SERVER_ERRORS = {
  INVALID_JSON: { code: -32700, exit: 'REFUSED' },
  INVALID_REQUEST: { code: -32600, exit: 'REFUSED' },
  METHOD_NOT_FOUND: {
    code: -32601,
    exit: 'NOT_FOUND',
    advice: '`vault-cli list-commands` shows the methods of the server',
  },
  INTERNAL: { code: -32000, exit: 'REFUSED', advice: "the server's log may say more" },
  DEGRADED: {
    code: -32001,
    exit: 'NOT_SERVING',
    advice:
      'the server is up but serves nothing: run `vault-server status` on its machine, and read its log',
  },
  STARTING: {
    code: -32002,
    exit: 'NOT_SERVING',
    advice: 'the server still starts: try again soon',
  },
  RECOVERY: {
    code: -32003,
    exit: 'NOT_SERVING',
    advice:
      'on its machine: `vault-cli --url http://127.0.0.1:7401 --user recovery system.importConfig passphrase= @=<file>`',
  },
  RESULT_TOO_LARGE: { code: -32004, exit: 'REFUSED', advice: 'ask for less: limit=json:100' },
  TOO_MANY_SIGN_INS: { code: -32005, exit: 'SIGN_IN', advice: 'wait some seconds, then try again' },
  NOT_IMPLEMENTED: { code: 0, exit: 'REFUSED' },
  NO_SUCH_OBJECT: { code: 1, exit: 'NOT_FOUND' },
  UNAUTHORIZED: { code: 2, exit: 'PERMISSION' },
  INVALID_CREDENTIALS: {
    code: 3,
    exit: 'SIGN_IN',
    advice:
      'check user and password, or register again (after a failure wait two seconds): `vault-cli register <url> <user>`',
  },
  FORBIDDEN_OPERATION: { code: 5, exit: 'REFUSED' },
  INVALID_PARAMETERS: { code: 10, exit: 'PARAMETERS' },
  OBJECT_ALREADY_EXISTS: { code: 16, exit: 'REFUSED' },
  OPERATION_FAILED: { code: 21, exit: 'REFUSED' },
  INCORRECT_STATE: { code: 25, exit: 'REFUSED' },
  SERVICE_UNAVAILABLE: { code: 28, exit: 'NOT_SERVING' },
} as const satisfies {
  readonly [Name in ErrorName]: ServerErrorRow<(typeof ERROR_CODES)[Name]['code']>;
};

/** Every error code of this package but `CALL_REFUSED`, which {@link SERVER_ERRORS} divides. */
const EXIT_OF_CLI_ERROR = {
  USAGE: 'USAGE',
  NOT_REGISTERED: 'SIGN_IN',
  INPUT_UNAVAILABLE: 'USAGE',
  CONFIG_UNUSABLE: 'LOCAL_FILE',
  SERVER_UNREACHABLE: 'CONNECTION',
  CONNECTION_LOST: 'CONNECTION',
  MESSAGE_TOO_LARGE: 'PARAMETERS',
  PROTOCOL_BROKEN: 'CONNECTION',
  FILE_UNUSABLE: 'LOCAL_FILE',
  TRANSFER_FAILED: 'TRANSFER',
  INTERRUPTED: 'INTERRUPTED',
} as const satisfies Record<Exclude<CliErrorCode, 'CALL_REFUSED'>, ExitStatusName>;

const SERVER_ERROR_BY_CODE: ReadonlyMap<number, ServerErrorRow<number>> = new Map(
  Object.values(SERVER_ERRORS).map((row) => [row.code, row]),
);

/** The row for an integer of the wire; `undefined` for one that this version does not know. */
export function serverErrorRow(rpcCode: number): ServerErrorRow<number> | undefined {
  return SERVER_ERROR_BY_CODE.get(rpcCode);
}

/** Exit status of the process for anything thrown. A defect of ours counts as `REFUSED`. */
export function exitStatusOf(error: unknown): number {
  return EXIT_STATUSES[exitNameOf(error)].status;
}

function exitNameOf(error: unknown): ExitStatusName {
  if (error instanceof CallRefusedError) return serverErrorRow(error.rpcCode)?.exit ?? 'REFUSED';
  if (error instanceof CliError && error.code !== 'CALL_REFUSED') {
    return EXIT_OF_CLI_ERROR[error.code];
  }
  return 'REFUSED';
}
