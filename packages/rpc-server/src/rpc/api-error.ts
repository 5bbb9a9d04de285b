/** The error that a method throws when the caller shall see what is wrong, and its constructors. */
import { ERROR_CODES } from '../protocol.js';
import type { ErrorName, Json, JsonObject, ParameterProblem, Permission } from '../protocol.js';

/** Becomes a JSON-RPC error with the code of its row, its message and its data. */
export class ApiError extends Error {
  /** Row of {@link ERROR_CODES}. */
  readonly code: ErrorName;
  readonly data: Json | undefined;

  constructor(code: ErrorName, message: string, data?: Json, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ApiError';
    this.code = code;
    this.data = data;
  }

  /** The integer for the wire. */
  get rpcCode(): number {
    return ERROR_CODES[this.code].code;
  }
}

export function noSuchObject(id: string, type: string): ApiError {
  return new ApiError('NO_SUCH_OBJECT', `no such ${type} ${id}`, { id, type });
}

export function unauthorized(permission: Permission | 'reveal', object: JsonObject = {}): ApiError {
  return new ApiError('UNAUTHORIZED', 'not enough permissions', { permission, object });
}

/** One face for every sign-in that fails: nothing tells a wrong name from a wrong password. */
export function invalidCredentials(): ApiError {
  return new ApiError('INVALID_CREDENTIALS', 'invalid credentials');
}

export function forbiddenOperation(operation: string, reason: string): ApiError {
  return new ApiError('FORBIDDEN_OPERATION', `forbidden operation: ${operation}: ${reason}`, {
    operation,
    reason,
  });
}

/** xo-cli needs `data` to be an object, with `errors` (when there) an array of paths and messages. */
export function invalidParameters(
  problems: readonly ParameterProblem[],
  message = 'invalid parameters',
): ApiError {
  const errors = problems.map((problem) => ({ ...problem }));
  return new ApiError('INVALID_PARAMETERS', message, { errors });
}

/** One problem with one parameter. `message` reads after the parameter's name: `must be …`. */
export function invalidParameter(name: string, message: string): ApiError {
  return invalidParameters([{ instancePath: `/${name}`, message }]);
}
