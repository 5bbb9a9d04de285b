/**
 * What goes over the wire between `vault-server` and its clients: JSON-RPC 2.0 in WebSocket text
 * frames at `/api/`, and the one-time URLs that move files. Clients import this file alone, so it
 * imports nothing.
 */

/** One row: the integer that stands in `error.code`, and when it does. */
export interface ErrorCodeRow {
  readonly code: number;
  readonly when: string;
  /** What a user or programmer does about it. */
  readonly advice: string;
}

/**
 * Every error code that a client can meet. Codes 1 to 28 are those of Xen Orchestra's API with the
 * same meaning and the same `data`; the negative ones are JSON-RPC's own range.
 */
export const ERROR_CODES = {
  INVALID_JSON: {
    code: -32700,
    when: 'the message is not JSON; `id` is null',
    advice: 'send one JSON text a frame',
  },
  INVALID_REQUEST: {
    code: -32600,
    when: 'the message is no JSON-RPC 2.0 request, a batch is empty or too long, or there are more values in it than the limits allow; `id` is null where it was not read',
    advice:
      'see the message; the limits are `batchCalls`, `messageValues` and `messageValuesBeforeSignIn`',
  },
  METHOD_NOT_FOUND: {
    code: -32601,
    when: 'there is no such method; `data` is its name',
    advice: 'ask `system.getMethodsInfo` for the methods',
  },
  INTERNAL: {
    code: -32000,
    when: 'anything unexpected; administrators see the real message',
    advice: 'look at the log of the server',
  },
  DEGRADED: {
    code: -32001,
    when: 'the server runs in degraded mode and serves nothing; `data` is `{reason}`',
    advice: 'run `vault-server status` on the machine of the server, or read its log',
  },
  STARTING: {
    code: -32002,
    when: 'the database is being opened or migrated; `data` is `{phase, done, total}` as far as known',
    advice: 'try again; `/readyz` answers 200 when it serves',
  },
  RECOVERY: {
    code: -32003,
    when: 'the server runs in recovery mode, where only sign-in, status and import work, on its own machine',
    advice: 'import a config backup, then restart the server normally',
  },
  RESULT_TOO_LARGE: {
    code: -32004,
    when: 'the answer would be larger than clients accept',
    advice: 'ask for less with `limit` and `after`, or use `ndjson` where the method has it',
  },
  TOO_MANY_SIGN_INS: {
    code: -32005,
    when: 'after wrong passwords for that name it is too early to check another one, and its turn would take too long to come',
    advice:
      'wait some seconds; under an attack sign in from an address that did before, or with a token',
  },
  NOT_IMPLEMENTED: {
    code: 0,
    when: 'the server cannot do that in its present configuration',
    advice: 'see the message',
  },
  NO_SUCH_OBJECT: {
    code: 1,
    when: 'no record has that id; `data` is `{id, type}`',
    advice: 'list the ids with `<collection>.getAll`',
  },
  UNAUTHORIZED: {
    code: 2,
    when: 'nobody is signed in, or the permission does not suffice; `data` is `{permission, object}`',
    advice: 'sign in, or ask an administrator for the permission that `data` names',
  },
  INVALID_CREDENTIALS: {
    code: 3,
    when: 'user, password, one-time password or token is wrong or expired: never said which',
    advice: 'sign in again, or register again with `vault-cli register`',
  },
  FORBIDDEN_OPERATION: {
    code: 5,
    when: 'the operation is refused by a rule; `data` is `{operation, reason}`',
    advice: 'see `data.reason`',
  },
  INVALID_PARAMETERS: {
    code: 10,
    when: 'parameters do not fit the method; `data` is an object, `data.errors` has one item a problem, 16 at most',
    advice: 'see `data.errors`, or `vault-cli list-commands <method>`',
  },
  OBJECT_ALREADY_EXISTS: {
    code: 16,
    when: 'another record has that id, or that value in a unique index; `data` is `{objectId, objectType}`',
    advice: 'change the record that is there, or choose another value',
  },
  OPERATION_FAILED: {
    code: 21,
    when: 'one stored record cannot be read, or a file was not accepted; `data` is `{objectId, code}`',
    advice: 'run `vault-server verify`',
  },
  INCORRECT_STATE: {
    code: 25,
    when: 'the record or the database was changed meanwhile; `data` is `{object, property}`',
    advice: 'read it again, then repeat',
  },
  SERVICE_UNAVAILABLE: {
    code: 28,
    when: 'Redis cannot be reached or refuses, or too many sign-ins wait; `data` is `{serviceName}`',
    advice: 'try again; if it lasts, run `vault-server status` on the machine of the server',
  },
} as const satisfies Record<string, ErrorCodeRow>;

/** Name of a row of {@link ERROR_CODES}. */
export type ErrorName = keyof typeof ERROR_CODES;

/** `none < read < write < admin`. */
export const PERMISSIONS = ['none', 'read', 'write', 'admin'] as const;
/** What a user may do: `none` only with itself, `read` records without secrets, `write` change them, `admin` all. */
export type Permission = (typeof PERMISSIONS)[number];

/** What stands in place of every secret field that is set. Sent back in a `set`, it leaves the field as it is. */
export const SECRET_MASK = '***obfuscated***';

/** Path of the WebSocket, and of the one-time URLs below it. */
export const API_PATH = '/api/';

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/** One item of `data.errors` of {@link ERROR_CODES.INVALID_PARAMETERS}. */
export interface ParameterProblem {
  /** JSON pointer into the parameters: `/id`; `''` is the parameters themselves. */
  readonly instancePath: string;
  readonly message: string;
  readonly keyword?: string;
  readonly schemaPath?: string;
  readonly params?: JsonObject;
}

/** JSON schema of one parameter, with `optional` beside it as in Xen Orchestra. */
export interface ParameterInfo {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly optional?: boolean;
  readonly default?: Json;
  readonly enum?: readonly Json[];
  readonly [keyword: string]: unknown;
}

/** What `system.getMethodsInfo` says of one method. */
export interface MethodInfo {
  readonly description: string;
  readonly params: Readonly<Record<string, ParameterInfo>>;
  /** `null`: needs no sign-in; absent: any signed-in user; else the least permission. */
  readonly permission?: Permission | null;
}
/** Result of `system.getMethodsInfo`, by method name. */
export type MethodsInfo = Readonly<Record<string, MethodInfo>>;

/** Result of `session.signIn` and `session.getUser`. */
export interface PublicUser {
  readonly id: string;
  readonly email: string;
  readonly permission: Permission;
  readonly groups: readonly string[];
  readonly preferences: JsonObject;
}

/** What a token may do of what its user may; see `token.create`. Without one: all but create tokens. */
export interface TokenScope {
  /** Names of methods; `*` stands for a namespace or a verb: `server.*`, `*.get`. Absent: all. */
  readonly methods?: readonly string[];
  /** Only methods of these collections. Absent: all. */
  readonly collections?: readonly string[];
  /** No method that changes anything. */
  readonly readOnly?: boolean;
  /** Secrets, as far as the user may see them. */
  readonly mayReveal?: boolean;
  /** Tokens with no more than this scope, that live no longer. */
  readonly mayCreateTokens?: boolean;
}

/** One item of `token.getAll`. The bearer token itself is shown once, by `token.create`. */
export interface TokenInfo {
  /** Id of the record, not the bearer token. */
  readonly id: string;
  readonly user_id: string;
  /** Milliseconds since the epoch. */
  readonly created_at: number;
  /** Milliseconds since the epoch. */
  readonly expiration: number;
  readonly description?: string;
  readonly client?: { readonly id: string };
  readonly scope?: TokenScope;
  /** Id of the token that created it, and with which it is deleted. */
  readonly created_by?: string;
  /** By address, the ten latest. */
  readonly last_uses: Readonly<Record<string, { readonly timestamp: number }>>;
}

/** Result of a method that gives a file: `GET` it once, within five minutes, relative to the server's URL. */
export interface DownloadOffer {
  readonly $getFrom: string;
}
/** Result of a method that takes a file: `POST` the raw bytes once, within five minutes. */
export interface UploadOffer {
  readonly $sendTo: string;
}

/** Notifications that the server sends, by method name. */
export interface Notifications {
  /** Objects that appeared or changed (`enter`, whole and masked) or went (`exit`, the value is 0). To whom may read. */
  readonly all:
    | { readonly type: 'enter'; readonly items: Readonly<Record<string, JsonObject>> }
    | { readonly type: 'exit'; readonly items: Readonly<Record<string, 0>> };
  /** How far a long call of this very socket is. `total` 0: not known. */
  readonly progress: ProgressParams;
}
export interface ProgressParams {
  /** Name of the method that was called. */
  readonly operation: string;
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

/** Body of `/readyz`: 200 when `mode` is `serving`, else 503. */
export interface Readiness {
  readonly mode: 'starting' | 'serving' | 'degraded' | 'recovery';
  /** Class of the reason, no details: those are in the log. */
  readonly reason?: string;
  /** There, and true, while a server that Redis is away from tries again by itself. */
  readonly retrying?: boolean;
  readonly progress?: Omit<ProgressParams, 'operation'>;
}
