import type { KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { KeyDestroyedError } from './errors.js';
import { REDACTED } from './internal/redacted.js';
import type { KeyId } from './key-id.js';
import { lengthPrefixed } from './length-prefix.js';

/** AES-256-GCM key of one collection under one key. Made by `VaultKey.recordKey`; dies with its `VaultKey`. */
export class RecordKey {
  readonly keyId: KeyId;
  readonly collection: string;
  /** @internal 8 bytes */
  readonly keyIdBytes: Buffer;
  /** @internal `lp(collection)`, part of the associated data */
  readonly collectionPrefixed: Buffer;
  #secret: KeyObject | undefined;
  #encryptions = 0;

  /** @internal */
  constructor(keyIdBytes: Buffer, collection: string, secret: KeyObject) {
    this.keyIdBytes = Buffer.from(keyIdBytes);
    this.keyId = keyIdBytes.toString('hex') as KeyId;
    this.collection = collection;
    this.collectionPrefixed = lengthPrefixed(collection);
    this.#secret = secret;
  }

  /** @internal @throws {KeyDestroyedError} */
  get secret(): KeyObject {
    if (this.#secret === undefined) throw new KeyDestroyedError();
    return this.#secret;
  }

  /** Encryptions made with this key by this object. */
  get encryptions(): number {
    return this.#encryptions;
  }

  /** @internal */
  countEncryption(): void {
    this.#encryptions++;
  }

  /** @internal called by `VaultKey.destroy` */
  destroy(): void {
    this.#secret = undefined;
  }

  toJSON(): string {
    return REDACTED;
  }
  toString(): string {
    return REDACTED;
  }
  [inspect.custom](): string {
    return `RecordKey ${this.keyId} ${this.collection} ${REDACTED}`;
  }
}
