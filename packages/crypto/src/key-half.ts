import { createHash, randomFillSync, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';
import { KeyDestroyedError, KeyHalfInvalidError } from './errors.js';
import { REDACTED } from './internal/redacted.js';
import { allocateSecret } from './secret-buffer.js';

/** Bytes of a half. Anything else is corrupt: it is never shortened, padded or hashed into shape. */
export const KEY_HALF_BYTES = 32;

const HEX = /^[0-9a-f]{64}$/i;

/** One of the two 32-byte secrets. It prints as `[redacted]` and can be zeroed. */
export class KeyHalf {
  readonly #bytes: Buffer;
  #isDestroyed = false;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /**
   * @param bytes exactly 32 bytes; copied
   * @throws {KeyHalfInvalidError} on any other length, and on 32 zero bytes: what a lost disk block reads as
   */
  static fromBytes(bytes: Uint8Array): KeyHalf {
    if (bytes.byteLength !== KEY_HALF_BYTES) {
      throw new KeyHalfInvalidError(`${KEY_HALF_BYTES} bytes`, `${bytes.byteLength} bytes`);
    }
    if (bytes.every((byte) => byte === 0)) {
      throw new KeyHalfInvalidError('a random secret', `${KEY_HALF_BYTES} zero bytes`);
    }
    const copy = allocateSecret(KEY_HALF_BYTES);
    copy.set(bytes);
    return new KeyHalf(copy);
  }

  /**
   * @param hex exactly 64 hexadecimal digits
   * @throws {KeyHalfInvalidError} on anything else, and on 64 zeros
   */
  static fromHex(hex: string): KeyHalf {
    if (!HEX.test(hex)) {
      throw new KeyHalfInvalidError('64 hexadecimal digits', `${hex.length} characters`);
    }
    const bytes = allocateSecret(KEY_HALF_BYTES);
    bytes.write(hex, 'hex');
    try {
      return KeyHalf.fromBytes(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  /** A fresh half from the operating system's random generator. */
  static generate(): KeyHalf {
    return new KeyHalf(randomFillSync(allocateSecret(KEY_HALF_BYTES)));
  }

  /** The secret itself, 32 bytes, not a copy. @throws {KeyDestroyedError} */
  unsafeBytes(): Buffer {
    if (this.#isDestroyed) throw new KeyDestroyedError();
    return this.#bytes;
  }

  /** The secret as 64 hexadecimal digits: only for writing it where it belongs. */
  unsafeHex(): string {
    return this.unsafeBytes().toString('hex');
  }

  /** Constant-time comparison. */
  equals(other: KeyHalf): boolean {
    return timingSafeEqual(this.unsafeBytes(), other.unsafeBytes());
  }

  /** First 8 hex digits of SHA-256: names a half in a message for an operator; says nothing of its value. */
  fingerprint(): string {
    return createHash('sha256')
      .update('vault/v1/half-fingerprint')
      .update(this.unsafeBytes())
      .digest('hex')
      .slice(0, 8);
  }

  /** Zeroes the bytes. */
  destroy(): void {
    this.#bytes.fill(0);
    this.#isDestroyed = true;
  }

  toJSON(): string {
    return REDACTED;
  }
  toString(): string {
    return REDACTED;
  }
  [inspect.custom](): string {
    return `KeyHalf ${REDACTED}`;
  }
}
