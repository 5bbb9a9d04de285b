/**
 * Envelope v1, one encrypted record as stored. All numbers big-endian.
 *
 * ```
 * ┌─────────┬──────────┬─────────┬──────────────┬───────────┬───────────────┬─────────┐
 * │ version │ key id   │ length  │ clear header │ nonce     │ ciphertext    │ tag     │
 * │ 1: 0x01 │ 8        │ 2       │ length       │ 12 random │ n             │ 16      │
 * └─────────┴──────────┴─────────┴──────────────┴───────────┴───────────────┴─────────┘
 * associated data = "vault/v1\0" ‖ key id ‖ lp(clear header) ‖ lp(collection) ‖ lp(record id)
 * ```
 *
 * AES-256-GCM as in NIST SP 800-38D, 96-bit nonce, 128-bit tag.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { EnvelopeNotOpenedError } from './errors.js';
import { NONCE_BYTES, writeNonce } from './internal/nonce-pool.js';
import { LENGTH_PREFIX_BYTES, LENGTH_PREFIX_MAX, lengthPrefixed } from './length-prefix.js';
import { KEY_ID_BYTES } from './vault-key.js';
import type { KeyId, RecordKey } from './vault-key.js';

export const ENVELOPE_VERSION = 0x01;
export const TAG_BYTES = 16;
export { NONCE_BYTES };

const HEADER_LENGTH_AT = 1 + KEY_ID_BYTES;
const HEADER_AT = HEADER_LENGTH_AT + LENGTH_PREFIX_BYTES;
/** Bytes that an envelope adds to clear header and plaintext. */
export const ENVELOPE_OVERHEAD_BYTES = HEADER_AT + NONCE_BYTES + TAG_BYTES;

const AAD_LABEL = Buffer.from('vault/v1\0');
const NO_HEADER = Buffer.alloc(0);
const ALGORITHM = 'aes-256-gcm';
const TAG_OPTION = { authTagLength: TAG_BYTES } as const;

/** The parts of an envelope, as views on its bytes; nothing in it is authenticated yet. */
export interface EnvelopeParts {
  readonly keyId: KeyId;
  readonly clearHeader: Buffer;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

function associatedData(prefix: Buffer, key: RecordKey, id: string): Buffer {
  // prefix is keyId ‖ lp(clear header), which stands in the envelope just so.
  return Buffer.concat([AAD_LABEL, prefix, key.collectionPrefixed, lengthPrefixed(id)]);
}

/**
 * Encrypts one record.
 *
 * @param key the record key of the collection
 * @param id the record id, at most 65 535 bytes of UTF-8
 * @param plaintext the record; its length shows in the envelope unless it was padded ({@link padJson})
 * @param clearHeader authenticated, not encrypted; at most 65 535 bytes
 * @throws RangeError when id or header are too long
 */
export function sealEnvelope(
  key: RecordKey,
  id: string,
  plaintext: Uint8Array,
  clearHeader: Uint8Array = NO_HEADER,
): Buffer {
  const headerBytes = clearHeader.byteLength;
  if (headerBytes > LENGTH_PREFIX_MAX) {
    throw new RangeError(
      `expected a clear header of at most ${LENGTH_PREFIX_MAX} bytes, met ${headerBytes}`,
    );
  }
  const nonceAt = HEADER_AT + headerBytes;
  const cipherAt = nonceAt + NONCE_BYTES;
  const tagAt = cipherAt + plaintext.byteLength;
  const out = Buffer.allocUnsafe(tagAt + TAG_BYTES);
  out[0] = ENVELOPE_VERSION;
  out.set(key.keyIdBytes, 1);
  out.writeUInt16BE(headerBytes, HEADER_LENGTH_AT);
  out.set(clearHeader, HEADER_AT);
  writeNonce(out, nonceAt);

  const cipher = createCipheriv(ALGORITHM, key.secret, out.subarray(nonceAt, cipherAt), TAG_OPTION);
  cipher.setAAD(associatedData(out.subarray(1, nonceAt), key, id));
  out.set(cipher.update(plaintext), cipherAt);
  cipher.final();
  out.set(cipher.getAuthTag(), tagAt);
  key.countEncryption();
  return out;
}

/** Whether stored bytes claim to be an envelope of a version we know. A plaintext record begins with `{`, so the two are never mistaken. */
export function isEnvelope(stored: Uint8Array): boolean {
  return stored[0] === ENVELOPE_VERSION;
}

/**
 * Splits an envelope without opening it.
 * @returns `undefined` when the bytes are not a whole envelope of a version we know
 */
export function parseEnvelope(stored: Buffer): EnvelopeParts | undefined {
  if (stored.length < ENVELOPE_OVERHEAD_BYTES || stored[0] !== ENVELOPE_VERSION) return undefined;
  const nonceAt = HEADER_AT + stored.readUInt16BE(HEADER_LENGTH_AT);
  const cipherAt = nonceAt + NONCE_BYTES;
  const tagAt = stored.length - TAG_BYTES;
  if (cipherAt > tagAt) return undefined;
  return {
    keyId: stored.toString('hex', 1, HEADER_LENGTH_AT) as KeyId,
    clearHeader: stored.subarray(HEADER_AT, nonceAt),
    nonce: stored.subarray(nonceAt, cipherAt),
    ciphertext: stored.subarray(cipherAt, tagAt),
    tag: stored.subarray(tagAt),
  };
}

/** The key id an envelope names, or `undefined` when it is no envelope or too short to name one. */
export function envelopeKeyId(stored: Buffer): KeyId | undefined {
  if (stored.length < HEADER_LENGTH_AT || stored[0] !== ENVELOPE_VERSION) return undefined;
  return stored.toString('hex', 1, HEADER_LENGTH_AT) as KeyId;
}

/**
 * Opens an envelope.
 * @returns the plaintext, a new buffer
 * @throws {EnvelopeNotOpenedError} whatever the reason: there is one face to a caller
 */
export function openEnvelope(key: RecordKey, id: string, stored: Buffer): Buffer {
  const parts = parseEnvelope(stored);
  if (parts === undefined || parts.keyId !== key.keyId) throw new EnvelopeNotOpenedError();
  try {
    const decipher = createDecipheriv(ALGORITHM, key.secret, parts.nonce, TAG_OPTION);
    decipher.setAAD(
      associatedData(stored.subarray(1, HEADER_AT + parts.clearHeader.length), key, id),
    );
    decipher.setAuthTag(parts.tag);
    const plaintext = decipher.update(parts.ciphertext);
    decipher.final();
    return plaintext;
  } catch {
    throw new EnvelopeNotOpenedError();
  }
}

/**
 * Pads JSON text with trailing spaces (which JSON allows, so a reader needs no flag) up to a multiple
 * of `block` bytes: records of one block length cannot be told apart by their length.
 * @param block 1 (no padding) to 65 536 bytes
 */
export function padJson(json: Uint8Array, block: number): Buffer {
  if (!Number.isInteger(block) || block < 1 || block > 65_536) {
    throw new RangeError('expected a padding block of 1 to 65536 bytes');
  }
  const length = Math.ceil(json.byteLength / block) * block;
  const out = Buffer.alloc(length, 0x20);
  out.set(json);
  return out;
}

/** Takes the padding off again: the bytes without trailing spaces. */
export function unpadJson(padded: Buffer): Buffer {
  let end = padded.length;
  while (end > 0 && padded[end - 1] === 0x20) end--;
  return padded.subarray(0, end);
}
