import { createSecretKey, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';
import { KeyDestroyedError } from './errors.js';
import { IndexKey } from './index-key.js';
import { hkdfExpand, hkdfExtract } from './internal/hkdf.js';
import { HMAC_BYTES, HmacSha256 } from './internal/hmac-sha256.js';
import { REDACTED } from './internal/redacted.js';
import { KEY_HALF_BYTES, KeyHalf } from './key-half.js';
import { KEY_ID_BYTES } from './key-id.js';
import type { KeyId } from './key-id.js';
import { lengthPrefixed } from './length-prefix.js';
import { assertName } from './names.js';
import { RecordKey } from './record-key.js';
import { allocateSecret } from './secret-buffer.js';

const MAC_PURPOSES = ['seal', 'audit', 'process', 'fence'] as const;
/** What a MAC key of a {@link VaultKey} is for. */
export type MacPurpose = (typeof MAC_PURPOSES)[number];

/** HMAC-SHA256 output. */
export const MAC_BYTES = HMAC_BYTES;
const MAC_PARTS_MAX = 0xff;

const DERIVED_KEY_BYTES = 32;
/** NIST SP 800-38D §8.3: with random 96-bit nonces, at most 2^32 encryptions under one key; we say so at half of it. */
export const ENCRYPTIONS_BEFORE_ROTATION = 2 ** 31;

/**
 * All that one pair of halves gives: HKDF-SHA256 (RFC 5869) over `halfA ‖ halfB`, empty salt.
 *
 * | derived | info | bytes |
 * |---|---|---|
 * | key id | `vault/v1/key-id` | 8 |
 * | record key | `vault/v1/record ‖ lp(collection)` | 32 |
 * | index key | `vault/v1/index ‖ lp(collection) ‖ lp(index)` | 32 |
 * | MAC keys | `vault/v1/<purpose>` | 32 |
 * | mask over both halves, in memory only | `vault/v1/halves` | 64 |
 */
export class VaultKey {
  /** 16 hexadecimal digits; also the check value of the pair. */
  readonly id: KeyId;
  readonly idBytes: Buffer;
  /** Extracted from both halves, neither of which it gives. */
  #extracted: Buffer | undefined;
  /** Both halves, unreadable without {@link #extracted}: no half stands in memory as it is. */
  #maskedHalves: Buffer = Buffer.alloc(0);
  readonly #recordKeys = new Map<string, RecordKey>();
  readonly #indexKeys = new Map<string, IndexKey>();
  readonly #macKeys = new Map<MacPurpose, HmacSha256>();

  private constructor(extracted: Buffer) {
    this.#extracted = extracted;
    this.idBytes = this.#expand('vault/v1/key-id', [], KEY_ID_BYTES);
    this.id = this.idBytes.toString('hex') as KeyId;
  }

  /** Derives the key of a pair. The halves stay the caller's, to keep or to destroy. @throws {KeyDestroyedError} when a half was destroyed */
  static derive(halfA: KeyHalf, halfB: KeyHalf): VaultKey {
    const material = allocateSecret(2 * KEY_HALF_BYTES);
    try {
      halfA.unsafeBytes().copy(material, 0);
      halfB.unsafeBytes().copy(material, KEY_HALF_BYTES);
      const key = new VaultKey(hkdfExtract(material));
      key.#maskedHalves = key.#masked(material);
      return key;
    } finally {
      material.fill(0);
    }
  }

  /** Copies of both halves, for putting them back where they were lost. The caller destroys them. @throws {KeyDestroyedError} */
  halves(): readonly [KeyHalf, KeyHalf] {
    const material = this.#masked(this.#maskedHalves);
    try {
      return [
        KeyHalf.fromBytes(material.subarray(0, KEY_HALF_BYTES)),
        KeyHalf.fromBytes(material.subarray(KEY_HALF_BYTES)),
      ];
    } finally {
      material.fill(0);
    }
  }

  /** Bytes xor what only this key expands to: used for one value, and so a one-time pad. */
  #masked(bytes: Buffer): Buffer {
    const out = this.#expand('vault/v1/halves', [], bytes.length);
    for (const [at, byte] of bytes.entries()) out[at] = (out[at] ?? 0) ^ byte;
    return out;
  }

  /** Encryptions made with this key, all its collections together, by this object since it was derived. */
  get encryptions(): number {
    let sum = 0;
    for (const key of this.#recordKeys.values()) sum += key.encryptions;
    return sum;
  }

  /** The AES-256-GCM key of a collection; derived once, then cached. @throws RangeError on a bad name @throws {KeyDestroyedError} */
  recordKey(collection: string): RecordKey {
    this.#assertAlive();
    let key = this.#recordKeys.get(collection);
    if (key === undefined) {
      assertName(collection, 'collection');
      const secret = this.#withExpanded('vault/v1/record', [collection], createSecretKey);
      key = new RecordKey(this.idBytes, collection, secret);
      this.#recordKeys.set(collection, key);
    }
    return key;
  }

  /** The HMAC-SHA256 key of an index of a collection; derived once, then cached. @throws RangeError on a bad name @throws {KeyDestroyedError} */
  indexKey(collection: string, index: string): IndexKey {
    this.#assertAlive();
    const name = `${collection}/${index}`;
    let key = this.#indexKeys.get(name);
    if (key === undefined) {
      assertName(collection, 'collection');
      assertName(index, 'index');
      const hmac = this.#withExpanded('vault/v1/index', [collection, index], toHmac);
      key = new IndexKey(this.id, collection, index, hmac);
      this.#indexKeys.set(name, key);
    }
    return key;
  }

  /**
   * HMAC-SHA256 over `u8 number of parts ‖ lp(part) … ‖ last part`: no list of parts gives the bytes
   * of another list. Every part but the last is at most 65 535 bytes; the last is of any length.
   * @returns 32 bytes
   * @throws RangeError on an unknown purpose, over 255 parts, or a part that is too long
   * @throws {KeyDestroyedError}
   */
  mac(purpose: MacPurpose, ...parts: readonly (string | Uint8Array)[]): Buffer {
    this.#assertAlive();
    if (parts.length > MAC_PARTS_MAX)
      throw new RangeError(`expected at most ${MAC_PARTS_MAX} parts`);
    const last = parts.at(-1) ?? '';
    return this.#macKey(purpose).digest(
      Buffer.concat([
        Buffer.of(parts.length),
        ...parts.slice(0, -1).map(lengthPrefixed),
        typeof last === 'string' ? Buffer.from(last) : last,
      ]),
    );
  }

  /** Whether `mac` is {@link mac} of the parts, compared in constant time. */
  isMac(purpose: MacPurpose, mac: Uint8Array, ...parts: readonly (string | Uint8Array)[]): boolean {
    const expected = this.mac(purpose, ...parts);
    return mac.byteLength === MAC_BYTES && timingSafeEqual(mac, expected);
  }

  /**
   * Forgets the key material; every later use of this key, and of record and index keys made by it,
   * throws {@link KeyDestroyedError}. What was extracted from the halves is zeroed here; record, index
   * and MAC keys are key objects of Node, which zeroes them when the garbage collector comes to them.
   */
  destroy(): void {
    this.#extracted?.fill(0);
    this.#maskedHalves.fill(0);
    this.#extracted = undefined;
    for (const keys of [this.#recordKeys, this.#indexKeys, this.#macKeys]) {
      for (const key of keys.values()) key.destroy();
    }
  }

  #assertAlive(): Buffer {
    if (this.#extracted === undefined) throw new KeyDestroyedError();
    return this.#extracted;
  }

  #macKey(purpose: MacPurpose): HmacSha256 {
    let key = this.#macKeys.get(purpose);
    if (key === undefined) {
      // Checked at run time too: another label would derive a key that serves another purpose.
      if (!MAC_PURPOSES.includes(purpose)) {
        throw new RangeError(`the purpose of a MAC is one of ${MAC_PURPOSES.join(', ')}`);
      }
      key = this.#withExpanded(`vault/v1/${purpose}`, [], toHmac);
      this.#macKeys.set(purpose, key);
    }
    return key;
  }

  #expand(label: string, names: readonly string[], length: number): Buffer {
    const info = Buffer.concat([Buffer.from(label), ...names.map(lengthPrefixed)]);
    return hkdfExpand(this.#assertAlive(), info, length);
  }

  /** Gives 32 derived bytes to `use`, then zeroes them. */
  #withExpanded<Key>(label: string, names: readonly string[], use: (bytes: Buffer) => Key): Key {
    const bytes = this.#expand(label, names, DERIVED_KEY_BYTES);
    try {
      return use(bytes);
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

function toHmac(bytes: Buffer): HmacSha256 {
  return new HmacSha256(bytes);
}
