import { inspect } from 'node:util';
import type { HmacSha256 } from './internal/hmac-sha256.js';
import { REDACTED } from './internal/redacted.js';
import type { KeyId } from './key-id.js';

/** HMAC-SHA256 key of one index of one collection under one key. Made by `VaultKey.indexKey`; dies with its `VaultKey`. */
export class IndexKey {
  readonly keyId: KeyId;
  readonly collection: string;
  readonly index: string;
  readonly #hmac: HmacSha256;

  /** @internal */
  constructor(keyId: KeyId, collection: string, index: string, hmac: HmacSha256) {
    this.keyId = keyId;
    this.collection = collection;
    this.index = index;
    this.#hmac = hmac;
  }

  /** @internal the first `bytes` bytes of the HMAC, base64url @throws {KeyDestroyedError} */
  digestBase64url(message: string | Uint8Array, bytes: number): string {
    return this.#hmac.digestBase64url(message, bytes);
  }

  /** @internal called by `VaultKey.destroy` */
  destroy(): void {
    this.#hmac.destroy();
  }

  toJSON(): string {
    return REDACTED;
  }
  toString(): string {
    return REDACTED;
  }
  [inspect.custom](): string {
    return `IndexKey ${this.keyId} ${this.collection}.${this.index} ${REDACTED}`;
  }
}
