/**
 * The errors of this package. Each has a literal `code`; `switch (error.code)` narrows. Messages say
 * what was expected and what was met, and never a password, passphrase, token or stored value.
 */
export const CLI_ERRORS = {
  USAGE: 'the command line is not understood',
  NOT_REGISTERED:
    'no server is known: neither registered, nor named by --url, --socket or VAULT_URL, nor on this machine',
  INPUT_UNAVAILABLE:
    'a secret is needed, and terminal or standard input give none, or more than was asked for',
  CONFIG_UNUSABLE: 'the configuration file cannot be read, is not ours, or is open to others',
  SERVER_UNREACHABLE: 'no WebSocket could be opened to the server',
  CONNECTION_LOST: 'the connection ended before the answer came',
  MESSAGE_TOO_LARGE: 'the server takes no message as large as the call',
  PROTOCOL_BROKEN: 'the peer sent something that is not JSON-RPC 2.0',
  CALL_REFUSED: 'the server answered the call with an error',
  FILE_UNUSABLE:
    'the local file of a value or a transfer is missing, cannot be read or written, or is in the way',
  TRANSFER_FAILED: 'a file did not come or go through as a whole',
  INTERRUPTED: 'the user stopped the command',
} as const satisfies Record<string, string>;

export type CliErrorCode = keyof typeof CLI_ERRORS;

/** Base of all errors of this package. */
export class CliError extends Error {
  readonly code: CliErrorCode;
  /** One sentence: what to do about it. Shown below the message. */
  readonly advice: string | undefined;

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions & { advice?: string }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.advice = options?.advice;
  }
}

export class UsageError extends CliError {
  declare readonly code: 'USAGE';
  constructor(message: string, advice?: string) {
    super('USAGE', message, advice === undefined ? undefined : { advice });
  }
}

export class NotRegisteredError extends CliError {
  declare readonly code: 'NOT_REGISTERED';
  constructor() {
    super('NOT_REGISTERED', 'no server is registered', {
      advice: 'run `vault-cli register <url> <user>` first, or give --url, --socket or VAULT_URL',
    });
  }
}

export class InputUnavailableError extends CliError {
  declare readonly code: 'INPUT_UNAVAILABLE';
  constructor(message: string, advice: string) {
    super('INPUT_UNAVAILABLE', message, { advice });
  }
}

export class ConfigUnusableError extends CliError {
  declare readonly code: 'CONFIG_UNUSABLE';
  constructor(message: string, options: ErrorOptions & { advice: string }) {
    super('CONFIG_UNUSABLE', message, options);
  }
}

export class ServerUnreachableError extends CliError {
  declare readonly code: 'SERVER_UNREACHABLE';
  constructor(message: string, options: ErrorOptions & { advice: string }) {
    super('SERVER_UNREACHABLE', message, options);
  }
}

export class ConnectionLostError extends CliError {
  declare readonly code: 'CONNECTION_LOST';
  constructor(message: string, options?: ErrorOptions) {
    super('CONNECTION_LOST', message, {
      ...options,
      advice: 'what the call did is not known: look before you repeat it',
    });
  }
}

export class MessageTooLargeError extends CliError {
  declare readonly code: 'MESSAGE_TOO_LARGE';
  constructor() {
    super('MESSAGE_TOO_LARGE', 'the call is larger than the server takes', {
      advice: 'nothing was done: send less, or let the administrator set limits.messageBytes',
    });
  }
}

export class ProtocolBrokenError extends CliError {
  declare readonly code: 'PROTOCOL_BROKEN';
  constructor(message: string) {
    super('PROTOCOL_BROKEN', message, { advice: 'check that the URL is that of a vault-server' });
  }
}

/** The server answered with a JSON-RPC error. */
export class CallRefusedError extends CliError {
  declare readonly code: 'CALL_REFUSED';
  /** Integer of the wire, see `ERROR_CODES` of the server's protocol. */
  readonly rpcCode: number;
  /** As the server sent it; its form depends on {@link rpcCode}. */
  readonly data: unknown;
  constructor(rpcCode: number, message: string, data: unknown) {
    super('CALL_REFUSED', message);
    this.rpcCode = rpcCode;
    this.data = data;
  }
}

export class FileUnusableError extends CliError {
  declare readonly code: 'FILE_UNUSABLE';
  constructor(message: string, options?: ErrorOptions & { advice?: string }) {
    super('FILE_UNUSABLE', message, options);
  }
}

export class TransferFailedError extends CliError {
  declare readonly code: 'TRANSFER_FAILED';
  constructor(message: string, options?: ErrorOptions & { advice?: string }) {
    super('TRANSFER_FAILED', message, options);
  }
}

export class InterruptedError extends CliError {
  declare readonly code: 'INTERRUPTED';
  constructor() {
    super('INTERRUPTED', 'interrupted');
  }
}

/** `ENOENT` and the like of a system error; `undefined` for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
