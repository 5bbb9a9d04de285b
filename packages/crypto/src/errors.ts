/**
 * The errors of this package. `code` is a literal, so `switch (error.code)` narrows.
 * Programmer's mistakes (a wrong type, a length out of range) are `TypeError` and `RangeError`.
 */
export type CryptoErrorCode = 'ENVELOPE_NOT_OPENED' | 'KEY_HALF_INVALID' | 'KEY_DESTROYED';

export class CryptoError extends Error {
  readonly code: CryptoErrorCode;

  constructor(code: CryptoErrorCode, message: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * The one face of a failed decryption: wrong key, tag, associated data, length or version. It has
 * no cause and says nothing of the reason; operators learn the reason from *verify*.
 */
export class EnvelopeNotOpenedError extends CryptoError {
  declare readonly code: 'ENVELOPE_NOT_OPENED';

  constructor() {
    super('ENVELOPE_NOT_OPENED', 'the envelope does not open');
  }
}

/** A key half that is not exactly 32 bytes, or not written in a form we read. */
export class KeyHalfInvalidError extends CryptoError {
  declare readonly code: 'KEY_HALF_INVALID';

  constructor(expected: string, met: string) {
    super('KEY_HALF_INVALID', `expected ${expected}, met ${met}`);
  }
}

/** A key was used after `destroy()`. */
export class KeyDestroyedError extends CryptoError {
  declare readonly code: 'KEY_DESTROYED';

  constructor() {
    super('KEY_DESTROYED', 'this key was destroyed');
  }
}
