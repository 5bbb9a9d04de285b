/** The server's own Redis could not be started, adopted or stopped. */
export const OWN_REDIS_ERRORS = {
  OWN_REDIS_MISSING: 'the program redis-server, or flock to run it under, is not installed',
  OWN_REDIS_FAILED: 'Redis ended before it answered: its log says why',
  OWN_REDIS_TIMEOUT: 'Redis did not answer in time',
  OWN_REDIS_FOLDER: 'the folder of Redis cannot be used',
} as const;

export type OwnRedisErrorCode = keyof typeof OWN_REDIS_ERRORS;

export class OwnRedisError extends Error {
  readonly code: OwnRedisErrorCode;

  constructor(code: OwnRedisErrorCode, message: string) {
    super(message);
    this.name = 'OwnRedisError';
    this.code = code;
  }
}
