/**
 * The errors of this package. `code` is a literal, so `switch (error.code)` narrows. Messages name
 * the half, its source, its place and what was met (a length, an errno, an exit status); never a
 * stored value, never what a child process printed.
 */
export const KEYSTORE_ERRORS = {
  SOURCE_CONFIG_INVALID: 'the configuration of a half source is not right: mend it',
  HALF_UNREADABLE: 'a half source cannot be asked: mend what the message names',
  HALF_CORRUPT: 'what stands at the place of a half is not a half: restore it',
  HALF_FOREIGN: 'the place holds a value of another system: give the half a place of its own',
  HALF_NOT_WRITABLE: 'the source, or what runs as this user, cannot write there',
  HALF_FULL: 'no room for one more line: delete inactive keys first',
  HALF_CONFLICT: 'somebody else changed the value again and again: try again',
  HALF_SHARED:
    'another instance has lines there, and the source cannot compare and swap: nothing is written',
  HALF_WRITE_FAILED: 'the value could not be written; what was there before still is',
  HALF_READ_BACK_FAILED: 'a new half was written and reads back as something else',
  APPEND_REFUSED: 'no new pair can be written with these sources as they are',
} as const satisfies Record<string, string>;

export type KeystoreErrorCode = keyof typeof KEYSTORE_ERRORS;

/** One class: callers tell the cases apart by {@link KeystoreError.code}. */
export class KeystoreError extends Error {
  readonly code: KeystoreErrorCode;

  constructor(code: KeystoreErrorCode, message: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The errno name of a system error (`ENOENT`, `EACCES`, …), or `unknown error`. */
export function errnoOf(error: unknown): string {
  // Not `instanceof Error`: the errors of Node itself may come from another realm (jest, vm).
  if (typeof error === 'object' && error !== null && 'code' in error) {
    if (typeof error.code === 'string') return error.code;
  }
  return 'unknown error';
}
