/**
 * The errors of this package. Each has a literal `code`; `switch (error.code)` narrows. Messages say
 * what was expected and what was met, by name and id, and never a stored value.
 */
export const STORE_ERRORS = {
  RECORD_NOT_FOUND: 'the record to change is not there',
  RECORD_EXISTS: 'a record with that id is there already',
  UNIQUE_CONFLICT: 'another record has that value in a unique index',
  REVISION_CONFLICT: 'the record was changed by somebody else meanwhile',
  OUTCOME_UNKNOWN:
    'the connection to Redis broke during a write, and whether it was done cannot be told',
  RECORD_UNREADABLE: 'one stored record cannot be read: run verify',
  RECORD_INVALID: 'the record does not fit the definition of its collection',
  QUERY_INVALID: 'the query does not fit the definition of its collection',
  STATE_STALE: 'the database changed state meanwhile, and went on changing: try again',
  DATABASE_DEGRADED: 'the database cannot be served: keys or state are not right',
  DATABASE_CLOSED: 'the database was closed',
  DATABASE_LOCKED: 'another process holds the migration lock',
  REDIS_UNAVAILABLE: 'Redis cannot be reached',
  REDIS_REFUSED: 'Redis refused the command',
  OPERATION_REFUSED: 'the conditions for the operation are not met',
} as const satisfies Record<string, string>;

export type StoreErrorCode = keyof typeof STORE_ERRORS;

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

export class RecordNotFoundError extends StoreError {
  declare readonly code: 'RECORD_NOT_FOUND';
  readonly collection: string;
  readonly id: string;
  constructor(collection: string, id: string) {
    super('RECORD_NOT_FOUND', `no such ${collection} ${id}`);
    this.collection = collection;
    this.id = id;
  }
}

export class RecordExistsError extends StoreError {
  declare readonly code: 'RECORD_EXISTS';
  readonly collection: string;
  readonly id: string;
  constructor(collection: string, id: string) {
    super('RECORD_EXISTS', `${collection} ${id} already exists`);
    this.collection = collection;
    this.id = id;
  }
}

/** A unique index already files another record under the value. The value is not in the message. */
export class UniqueConflictError extends StoreError {
  declare readonly code: 'UNIQUE_CONFLICT';
  readonly collection: string;
  readonly index: string;
  /** The record that has the value. */
  readonly holderId: string;
  constructor(collection: string, index: string, holderId: string) {
    super(
      'UNIQUE_CONFLICT',
      `another ${collection} (${holderId}) has the same value in the unique index "${index}"`,
    );
    this.collection = collection;
    this.index = index;
    this.holderId = holderId;
  }
}

export class RevisionConflictError extends StoreError {
  declare readonly code: 'REVISION_CONFLICT';
  constructor(collection: string, id: string) {
    super(
      'REVISION_CONFLICT',
      `${collection} ${id} was changed meanwhile: read it again, then repeat`,
    );
  }
}

/** Redis may have made the change or not; nothing else was changed. */
export class OutcomeUnknownError extends StoreError {
  declare readonly code: 'OUTCOME_UNKNOWN';
  readonly collection: string;
  readonly id: string;
  constructor(collection: string, id: string, options?: ErrorOptions) {
    super(
      'OUTCOME_UNKNOWN',
      `the connection to Redis broke while ${collection} ${id} was written, and whether that was done cannot be told: read it again, then repeat`,
      options,
    );
    this.collection = collection;
    this.id = id;
  }
}

/** Why a stored record cannot be read: for verify and logs, never for a remote caller. */
export const UNREADABLE_REASONS = [
  'plaintext',
  'truncated',
  'unknown-version',
  'unknown-key',
  'inactive-key',
  'moved',
  'tampered',
  'not-json',
  'encrypted',
] as const;
export type UnreadableReason = (typeof UNREADABLE_REASONS)[number];

export class RecordUnreadableError extends StoreError {
  declare readonly code: 'RECORD_UNREADABLE';
  readonly collection: string;
  readonly id: string;
  /** Not in the message: to a caller, failure has one face. */
  readonly reason: UnreadableReason;
  constructor(collection: string, id: string, reason: UnreadableReason) {
    super('RECORD_UNREADABLE', `${collection} ${id} cannot be read: run verify for the reason`);
    this.collection = collection;
    this.id = id;
    Object.defineProperty(this, 'reason', { value: reason, enumerable: false });
    this.reason = reason;
  }
}

export class RecordInvalidError extends StoreError {
  declare readonly code: 'RECORD_INVALID';
  readonly collection: string;
  readonly field: string | undefined;
  /** What is wrong with the field, or the record: no value, and not the name of the field. */
  readonly problem: string;
  constructor(collection: string, field: string | undefined, problem: string) {
    super(
      'RECORD_INVALID',
      field === undefined
        ? `${collection}: ${problem}`
        : `${collection}, field "${field}": ${problem}`,
    );
    this.collection = collection;
    this.field = field;
    this.problem = problem;
  }
}

export class QueryInvalidError extends StoreError {
  declare readonly code: 'QUERY_INVALID';
  constructor(collection: string, problem: string) {
    super('QUERY_INVALID', `${collection}: ${problem}`);
  }
}

export class StateStaleError extends StoreError {
  declare readonly code: 'STATE_STALE';
  constructor(message: string = STORE_ERRORS.STATE_STALE) {
    super('STATE_STALE', message);
  }
}

/** The five log lines of the model, word for word, and ours for what it has no line for. */
export const DEGRADED_MESSAGES = {
  encryptionFailed: 'Credential database encryption failed - running in degraded mode',
  decryptionFailed: 'Credential database decryption failed - running in degraded mode',
  migrationFailed: 'Credential database migration failed - running in degraded mode',
  oneHalf: 'Only one encryption key half found - running in degraded mode',
  keyLoadingFailed:
    'Existing key loading failed, decryption migration impossible - running in degraded mode',
  keysMissing: 'Encryption keys are missing - running in degraded mode',
  foreignDatabase:
    'Credential database is not the one that this server knows - running in degraded mode',
  foreignRedis: 'Redis holds the data of another system - running in degraded mode',
  newerLayout: 'Credential database was written by a newer version - running in degraded mode',
  oppositeSetting: 'Another live process runs with the opposite setting - running in degraded mode',
  redisUnusable: 'Redis cannot be used - running in degraded mode',
  startFailed: 'Credential database cannot be opened - running in degraded mode',
} as const;
export type DegradedReason = keyof typeof DEGRADED_MESSAGES;

/** What an operator does about a `foreignDatabase`. */
export const ACCEPT_ADVICE =
  'if you emptied, restored or replaced Redis on purpose, run vault-server accept-database --yes, then restart the server';

/** What an operator needs beside the line: no secret in it. */
export interface DegradedDetails {
  readonly backupPath?: string;
  /** One sentence: what exactly is wrong. */
  readonly cause?: string;
  /** One sentence: what to do now. */
  readonly advice?: string;
  readonly neededKeyId?: string;
  readonly foundKeyIds?: readonly string[];
  /** One sentence a half. */
  readonly diagnosis?: readonly string[];
}

/** The database cannot be served; nothing was opened and nothing was written. */
export class DegradedError extends StoreError {
  declare readonly code: 'DATABASE_DEGRADED';
  readonly reason: DegradedReason;
  readonly details: DegradedDetails;
  constructor(reason: DegradedReason, details: DegradedDetails, options?: ErrorOptions) {
    super('DATABASE_DEGRADED', DEGRADED_MESSAGES[reason], options);
    this.reason = reason;
    this.details = details;
  }
}

export class RedisUnavailableError extends StoreError {
  declare readonly code: 'REDIS_UNAVAILABLE';
  /** Whether it broke after the command was sent, so that Redis may have executed it; told of writes of records alone. */
  readonly mayBeDone: boolean;
  constructor(message: string, options: ErrorOptions & { readonly mayBeDone?: boolean } = {}) {
    super('REDIS_UNAVAILABLE', message, options);
    this.mayBeDone = options.mayBeDone ?? false;
  }
}

/** Redis answered with an error reply: OOM, READONLY, MISCONF, NOAUTH, NOPERM, LOADING, CLUSTERDOWN, WRONGTYPE … */
export class RedisRefusedError extends StoreError {
  declare readonly code: 'REDIS_REFUSED';
  /** First word of the reply. */
  readonly reply: string;
  constructor(reply: string, advice: string, options?: ErrorOptions) {
    super('REDIS_REFUSED', `Redis refused the command (${reply}): ${advice}`, options);
    this.reply = reply;
  }
}

/** A rotation, deletion or import whose conditions are not met: HTTP 406 in the REST interface. */
export class OperationRefusedError extends StoreError {
  declare readonly code: 'OPERATION_REFUSED';
  constructor(message: string) {
    super('OPERATION_REFUSED', message);
  }
}
