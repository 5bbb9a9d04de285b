/**
 * The border between our errors and the wire: every code of the store and of the config backup has
 * its row, so that a new one is a compile error here.
 */
import { STORE_ERRORS } from '@vault/redis-store';
import type { StoreError, StoreErrorCode } from '@vault/redis-store';
import { BACKUP_ERRORS } from '../backup/errors.js';
import type { BackupError, BackupErrorCode } from '../backup/errors.js';
import { ERROR_CODES } from '../protocol.js';
import type { ErrorName, Json } from '../protocol.js';
import { ApiError } from './api-error.js';

/** `error` of a JSON-RPC answer. */
export interface ErrorAnswer {
  readonly code: number;
  readonly message: string;
  readonly data?: Json;
}

/** What may be read from an error of the store: its public, value-free properties. */
type Details = Readonly<Record<string, unknown>>;

interface BorderRow {
  readonly name: ErrorName;
  data?(details: Details, error: Error): Json;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
const recordData = ({ id, collection }: Details): Json => ({
  id: text(id),
  type: text(collection),
});
const existing = ({ id, holderId, collection }: Details): Json => ({
  objectId: text(id) ?? text(holderId),
  objectType: text(collection),
});
const parameterData = ({ field }: Details, error: Error): Json => ({
  errors: [
    { instancePath: text(field) === undefined ? '' : `/${text(field)}`, message: error.message },
  ],
});
const redis = (): Json => ({ serviceName: 'redis' });
const refused = (_: Details, error: Error): Json => ({
  operation: 'request',
  reason: error.message,
});

const STORE_BORDER = {
  RECORD_NOT_FOUND: { name: 'NO_SUCH_OBJECT', data: recordData },
  RECORD_EXISTS: { name: 'OBJECT_ALREADY_EXISTS', data: existing },
  UNIQUE_CONFLICT: { name: 'OBJECT_ALREADY_EXISTS', data: existing },
  REVISION_CONFLICT: { name: 'INCORRECT_STATE', data: () => ({ property: 'revision' }) },
  OUTCOME_UNKNOWN: {
    name: 'OPERATION_FAILED',
    data: ({ id }) => ({ objectId: text(id), code: 'OUTCOME_UNKNOWN' }),
  },
  RECORD_UNREADABLE: {
    name: 'OPERATION_FAILED',
    data: ({ id }) => ({ objectId: text(id), code: 'RECORD_UNREADABLE' }),
  },
  RECORD_INVALID: { name: 'INVALID_PARAMETERS', data: parameterData },
  QUERY_INVALID: { name: 'INVALID_PARAMETERS', data: parameterData },
  STATE_STALE: { name: 'INCORRECT_STATE', data: () => ({ property: 'state' }) },
  DATABASE_DEGRADED: { name: 'DEGRADED', data: ({ reason }) => ({ reason: text(reason) }) },
  DATABASE_CLOSED: { name: 'SERVICE_UNAVAILABLE', data: () => ({ serviceName: 'database' }) },
  DATABASE_LOCKED: { name: 'INCORRECT_STATE', data: () => ({ property: 'lock' }) },
  REDIS_UNAVAILABLE: { name: 'SERVICE_UNAVAILABLE', data: redis },
  REDIS_REFUSED: { name: 'SERVICE_UNAVAILABLE', data: redis },
  OPERATION_REFUSED: { name: 'FORBIDDEN_OPERATION', data: refused },
} satisfies Record<StoreErrorCode, BorderRow>;

function isCodeOf<C extends string>(table: Readonly<Record<C, unknown>>, error: Error) {
  return 'code' in error && typeof error.code === 'string' && Object.hasOwn(table, error.code);
}
function isStoreError(error: Error): error is StoreError {
  return isCodeOf(STORE_ERRORS, error);
}
function isBackupError(error: Error): error is BackupError {
  return isCodeOf(BACKUP_ERRORS, error);
}

/** The error as one of the API's own, or `undefined` when no row names it. */
export function apiErrorOf(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error;
  if (!(error instanceof Error)) return undefined;
  if (isStoreError(error)) {
    const row: BorderRow = STORE_BORDER[error.code];
    const details = { ...(error as object) };
    return new ApiError(row.name, error.message, row.data?.(details, error), { cause: error });
  }
  if (isBackupError(error)) {
    const code: BackupErrorCode = error.code;
    const { count, named = [] } = error.refused ?? {};
    const records = named.map(({ collection, id, reason }) => ({ collection, id, reason }));
    const data = count === undefined ? { code } : { code, count, records };
    return new ApiError('OPERATION_FAILED', error.message, data, { cause: error });
  }
  return undefined;
}

/**
 * What the caller gets. An error that no row names was not foreseen: administrators get its message,
 * others only that there was one.
 */
export function answerOf(error: unknown, isAdministrator: boolean): ErrorAnswer {
  const known = apiErrorOf(error);
  if (known !== undefined) {
    const answer = { code: known.rpcCode, message: known.message };
    return known.data === undefined ? answer : { ...answer, data: known.data };
  }
  const { code } = ERROR_CODES.INTERNAL;
  if (!isAdministrator || !(error instanceof Error)) {
    return { code, message: 'unknown error from the peer' };
  }
  return { code, message: error.message, data: { name: error.name, message: error.message } };
}
