/**
 * HMAC-SHA256 (RFC 2104) by `createHmac`, with a key that can be destroyed. Two one-shot hashes over
 * prepared blocks would be twice as fast for short messages; rejected, since the construction is
 * OpenSSL's to get right, not ours.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import type { Hmac, KeyObject } from 'node:crypto';
import { KeyDestroyedError } from '../errors.js';
import { truncateBase64url } from '../base64url.js';

export const HMAC_BYTES = 32;

export class HmacSha256 {
  #key: KeyObject | undefined;

  /** @param key copied into a key object of the runtime; stays the caller's, to zero */
  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  /** @returns 32 bytes, a new buffer @throws {KeyDestroyedError} */
  digest(message: string | Uint8Array): Buffer {
    return this.#hmac(message).digest();
  }

  /** @returns the first `bytes` bytes of the HMAC, base64url without padding @throws {KeyDestroyedError} */
  digestBase64url(message: string | Uint8Array, bytes: number): string {
    return truncateBase64url(this.#hmac(message).digest('base64url'), bytes);
  }

  /** Releases the key; the runtime clears a released key object. */
  destroy(): void {
    this.#key = undefined;
  }

  #hmac(message: string | Uint8Array): Hmac {
    if (this.#key === undefined) throw new KeyDestroyedError();
    return createHmac('sha256', this.#key).update(message);
  }
}
