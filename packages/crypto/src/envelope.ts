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
import { EnvelopeNotOpenedError } from './errors.js';
import { decryptGcm, encryptGcm, NONCE_BYTES, TAG_BYTES } from './internal/aes-256-gcm.js';
import { writeNonce } from './internal/nonce-pool.js';
import type { NonceWriter } from './internal/nonce-pool.js';
import { KEY_ID_BYTES } from './key-id.js';
import type { KeyId } from './key-id.js';
import { LENGTH_PREFIX_BYTES, LENGTH_PREFIX_MAX } from './length-prefix.js';
import type { RecordKey } from './record-key.js';

export const ENVELOPE_VERSION = 0x01;
export { NONCE_BYTES, TAG_BYTES };

const HEADER_LENGTH_AT = 1 + KEY_ID_BYTES;
const HEADER_AT = HEADER_LENGTH_AT + LENGTH_PREFIX_BYTES;
/** Bytes that an envelope adds to clear header and plaintext. */
export const ENVELOPE_OVERHEAD_BYTES = HEADER_AT + NONCE_BYTES + TAG_BYTES;

const AAD_LABEL = Buffer.from('vault/v1\0');
const NO_HEADER = Buffer.alloc(0);
/** A lone surrogate is written as U+FFFD in UTF-8: two ids would share one associated data. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** The parts of an envelope, as views on its bytes; nothing in it is authenticated yet. */
export interface EnvelopeParts {
  readonly keyId: KeyId;
  readonly clearHeader: Buffer;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/**
 * @param named the bytes `key id ‖ lp(clear header)`, which stand in the envelope just so
 * @throws RangeError when the id is over 65 535 bytes or no well-formed Unicode
 */
function associatedData(named: Buffer, key: RecordKey, id: string): Buffer {
  const idBytes = Buffer.byteLength(id);
  if (idBytes > LENGTH_PREFIX_MAX || LONE_SURROGATE.test(id)) {
    throw new RangeError(
      `expected a record id of at most ${LENGTH_PREFIX_MAX} bytes of well-formed Unicode, met ${idBytes} bytes`,
    );
  }
  const { collectionPrefixed } = key;
  const collectionAt = AAD_LABEL.length + named.length;
  const idAt = collectionAt + collectionPrefixed.length;
  const out = Buffer.allocUnsafe(idAt + LENGTH_PREFIX_BYTES + idBytes);
  out.set(AAD_LABEL, 0);
  out.set(named, AAD_LABEL.length);
  out.set(collectionPrefixed, collectionAt);
  out.writeUInt16BE(idBytes, idAt);
  out.write(id, idAt + LENGTH_PREFIX_BYTES, 'utf8');
  return out;
}

/**
 * Encrypts one record.
 *
 * @param key the record key of the collection
 * @param id the record id, at most 65 535 bytes of UTF-8
 * @param plaintext the record; its length shows in the envelope unless it was padded ({@link padJson})
 * @param clearHeader authenticated, not encrypted; at most 65 535 bytes
 * @throws RangeError when id or header are too long, or the id is no well-formed Unicode
 * @throws {KeyDestroyedError}
 */
export function sealEnvelope(
  key: RecordKey,
  id: string,
  plaintext: Uint8Array,
  clearHeader: Uint8Array = NO_HEADER,
): Buffer {
  return sealEnvelopeWithNonce(writeNonce, key, id, plaintext, clearHeader);
}

/** {@link sealEnvelope} with the nonces handed in. @internal only for it and for frozen vectors: a nonce used twice gives the key stream away */
export function sealEnvelopeWithNonce(
  nonceWriter: NonceWriter,
  key: RecordKey,
  id: string,
  plaintext: Uint8Array,
  clearHeader: Uint8Array,
): Buffer {
  const headerBytes = clearHeader.byteLength;
  if (headerBytes > LENGTH_PREFIX_MAX) {
    throw new RangeError(
      `expected a clear header of at most ${LENGTH_PREFIX_MAX} bytes, met ${headerBytes}`,
    );
  }
  const nonceAt = HEADER_AT + headerBytes;
  const cipherAt = nonceAt + NONCE_BYTES;
  const out = Buffer.allocUnsafe(cipherAt + plaintext.byteLength + TAG_BYTES);
  out[0] = ENVELOPE_VERSION;
  out.set(key.keyIdBytes, 1);
  out.writeUInt16BE(headerBytes, HEADER_LENGTH_AT);
  out.set(clearHeader, HEADER_AT);
  nonceWriter(out, nonceAt);
  encryptGcm(
    key.secret,
    out.subarray(nonceAt, cipherAt),
    associatedData(out.subarray(1, nonceAt), key, id),
    plaintext,
    out,
    cipherAt,
  );
  key.countEncryption();
  return out;
}

/** Whether stored bytes claim to be an envelope of a version we know. A plaintext record begins with `{`, so the two are never mistaken. */
export function isEnvelope(stored: Uint8Array): boolean {
  return stored[0] === ENVELOPE_VERSION;
}

interface Bounds {
  readonly nonceAt: number;
  readonly cipherAt: number;
  readonly tagAt: number;
}

/** Where the parts begin; `undefined` when the bytes are not a whole envelope of a version we know. */
function boundsOf(stored: Buffer): Bounds | undefined {
  if (stored.length < ENVELOPE_OVERHEAD_BYTES || stored[0] !== ENVELOPE_VERSION) return undefined;
  const nonceAt = HEADER_AT + stored.readUInt16BE(HEADER_LENGTH_AT);
  const cipherAt = nonceAt + NONCE_BYTES;
  const tagAt = stored.length - TAG_BYTES;
  return cipherAt > tagAt ? undefined : { nonceAt, cipherAt, tagAt };
}

/** Whether the envelope names this key. */
function isUnderKey(stored: Buffer, { keyIdBytes }: RecordKey): boolean {
  return stored.compare(keyIdBytes, 0, KEY_ID_BYTES, 1, HEADER_LENGTH_AT) === 0;
}

/**
 * Splits an envelope without opening it.
 * @returns `undefined` when the bytes are not a whole envelope of a version we know
 */
export function parseEnvelope(stored: Buffer): EnvelopeParts | undefined {
  const bounds = boundsOf(stored);
  if (bounds === undefined) return undefined;
  const { nonceAt, cipherAt, tagAt } = bounds;
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
 * @throws {KeyDestroyedError} when the key was destroyed, which says nothing of the envelope
 */
export function openEnvelope(key: RecordKey, id: string, stored: Buffer): Buffer {
  const { secret } = key;
  const bounds = boundsOf(stored);
  // Another key id would not authenticate either; asking first spares the decryption.
  if (bounds === undefined || !isUnderKey(stored, key)) throw new EnvelopeNotOpenedError();
  const { nonceAt, cipherAt, tagAt } = bounds;
  try {
    return decryptGcm(
      secret,
      stored.subarray(nonceAt, cipherAt),
      associatedData(stored.subarray(1, nonceAt), key, id),
      stored.subarray(cipherAt, tagAt),
      stored.subarray(tagAt),
    );
  } catch {
    throw new EnvelopeNotOpenedError();
  }
}
