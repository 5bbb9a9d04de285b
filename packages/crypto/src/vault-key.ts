import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { KeyDestroyedError } from './errors.js';
import { REDACTED } from './internal/redacted.js';
import { KEY_HALF_BYTES } from './key-half.js';
import type { KeyHalf } from './key-half.js';
import { lengthPrefixed } from './length-prefix.js';
import { assertName } from './names.js';

declare const keyIdBrand: unique symbol;
/** 16 lower case hexadecimal digits: 8 bytes derived from both halves. Not a secret. */
export type KeyId = string & { readonly [keyIdBrand]: true };

export const KEY_ID_BYTES = 8;
const KEY_ID = /^[0-9a-f]{16}$/;

/** Whether `value` has the form of a key id. */
export function isKeyId(value: unknown): value is KeyId {
  return typeof value === 'string' && KEY_ID.test(value);
}

/** What a MAC key of a {@link VaultKey} is for. */
export type MacPurpose = 'seal' | 'audit' | 'manifest' | 'process' | 'fence';

/** HMAC-SHA256 output. */
export const MAC_BYTES = 32;

const DERIVED_KEY_BYTES = 32;
/** NIST SP 800-38D §8.3: with random 96-bit nonces, at most 2^32 encryptions under one key; we say so at half of it. */
export const ENCRYPTIONS_BEFORE_ROTATION = 2 ** 31;

/** AES-256-GCM key of one collection under one key. Made by {@link VaultKey.recordKey}. */
export interface RecordKey {
  readonly kind: 'record';
  readonly keyId: KeyId;
  readonly keyIdBytes: Buffer;
  readonly collection: string;
  /** `lp(collection)`, part of the associated data. */
  readonly collectionPrefixed: Buffer;
  /** @internal the secret; a `KeyObject` prints no bytes */
  readonly secret: KeyObject;
  /** @internal counts an encryption */
  countEncryption(): void;
}

/** HMAC-SHA256 key of one index of one collection under one key. Made by {@link VaultKey.indexKey}. */
export interface IndexKey {
  readonly kind: 'index';
  readonly keyId: KeyId;
  readonly collection: string;
  readonly index: string;
  /** @internal */
  readonly secret: KeyObject;
}

/**
 * All that one pair of halves gives: HKDF-SHA256 (RFC 5869) over `halfA ‖ halfB`, empty salt.
 *
 * | derived | info | bytes |
 * |---|---|---|
 * | key id | `vault/v1/key-id` | 8 |
 * | record key | `vault/v1/record ‖ lp(collection)` | 32 |
 * | index key | `vault/v1/index ‖ lp(collection) ‖ lp(index)` | 32 |
 * | MAC keys | `vault/v1/<purpose>` | 32 |
 */
export class VaultKey {
  /** 16 hexadecimal digits; also the check value of the pair. */
  readonly id: KeyId;
  readonly idBytes: Buffer;
  #material: KeyObject | undefined;
  readonly #recordKeys = new Map<string, RecordKey>();
  readonly #indexKeys = new Map<string, IndexKey>();
  readonly #macKeys = new Map<MacPurpose, KeyObject>();
  #encryptions = 0;

  private constructor(material: KeyObject) {
    this.#material = material;
    this.idBytes = this.#expand('vault/v1/key-id', [], KEY_ID_BYTES);
    this.id = this.idBytes.toString('hex') as KeyId;
  }

  /** Derives the key of a pair. The halves stay the caller's, to keep or to destroy. */
  static derive(halfA: KeyHalf, halfB: KeyHalf): VaultKey {
    const material = Buffer.alloc(2 * KEY_HALF_BYTES);
    try {
      halfA.unsafeBytes().copy(material, 0);
      halfB.unsafeBytes().copy(material, KEY_HALF_BYTES);
      return new VaultKey(createSecretKey(material));
    } finally {
      material.fill(0);
    }
  }

  /** Encryptions made with this key by this object since it was derived. */
  get encryptions(): number {
    return this.#encryptions;
  }

  /** The AES-256-GCM key of a collection; derived once, then cached. @throws RangeError on a bad name */
  recordKey(collection: string): RecordKey {
    this.#assertAlive();
    let key = this.#recordKeys.get(collection);
    if (key === undefined) {
      assertName(collection, 'collection');
      key = Object.freeze({
        kind: 'record',
        keyId: this.id,
        keyIdBytes: this.idBytes,
        collection,
        collectionPrefixed: lengthPrefixed(collection),
        secret: this.#expandSecret('vault/v1/record', [collection]),
        countEncryption: () => {
          this.#encryptions++;
        },
      });
      this.#recordKeys.set(collection, key);
    }
    return key;
  }

  /** The HMAC-SHA256 key of an index of a collection; derived once, then cached. @throws RangeError on a bad name */
  indexKey(collection: string, index: string): IndexKey {
    this.#assertAlive();
    const name = `${collection}/${index}`;
    let key = this.#indexKeys.get(name);
    if (key === undefined) {
      assertName(collection, 'collection');
      assertName(index, 'index');
      key = Object.freeze({
        kind: 'index',
        keyId: this.id,
        collection,
        index,
        secret: this.#expandSecret('vault/v1/index', [collection, index]),
      });
      this.#indexKeys.set(name, key);
    }
    return key;
  }

  /**
   * HMAC-SHA256 over `lp(part) ‖ lp(part) …`, so that parts cannot run into each other; the last
   * part is not prefixed and may be of any length.
   * @returns 32 bytes
   */
  mac(purpose: MacPurpose, ...parts: readonly (string | Uint8Array)[]): Buffer {
    this.#assertAlive();
    let key = this.#macKeys.get(purpose);
    if (key === undefined) {
      key = this.#expandSecret(`vault/v1/${purpose}`, []);
      this.#macKeys.set(purpose, key);
    }
    const hmac = createHmac('sha256', key);
    for (let i = 0; i < parts.length - 1; i++) hmac.update(lengthPrefixed(parts[i] ?? ''));
    return hmac.update(parts.at(-1) ?? '').digest();
  }

  /** Whether `mac` is {@link mac} of the parts, compared in constant time. */
  isMac(purpose: MacPurpose, mac: Uint8Array, ...parts: readonly (string | Uint8Array)[]): boolean {
    const expected = this.mac(purpose, ...parts);
    return mac.byteLength === MAC_BYTES && timingSafeEqual(mac, expected);
  }

  /** Forgets the key material; every later use throws {@link KeyDestroyedError}. The runtime clears a released `KeyObject`. */
  destroy(): void {
    this.#material = undefined;
    this.#recordKeys.clear();
    this.#indexKeys.clear();
    this.#macKeys.clear();
  }

  #assertAlive(): KeyObject {
    if (this.#material === undefined) throw new KeyDestroyedError();
    return this.#material;
  }

  #expand(label: string, names: readonly string[], length: number): Buffer {
    const info = Buffer.concat([Buffer.from(label), ...names.map(lengthPrefixed)]);
    return Buffer.from(hkdfSync('sha256', this.#assertAlive(), Buffer.alloc(0), info, length));
  }

  #expandSecret(label: string, names: readonly string[]): KeyObject {
    const bytes = this.#expand(label, names, DERIVED_KEY_BYTES);
    try {
      return createSecretKey(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  toJSON(): string {
    return REDACTED;
  }
  toString(): string {
    return REDACTED;
  }
  [inspect.custom](): string {
    return `VaultKey ${this.id} ${REDACTED}`;
  }
}
