/**
 * HKDF-SHA256 (RFC 5869) in its two steps, on OpenSSL's HMAC. `hkdfSync` would do both at once, but
 * copies the material into a key object, which holds both halves in clear until the garbage
 * collector comes to it; of these, only the extracted key has to live.
 */
import { createHmac } from 'node:crypto';
import { allocateSecret } from '../secret-buffer.js';

const HASH_BYTES = 32;
/** RFC 5869 §2.3: the counter is one byte. */
const BLOCKS_MAX = 255;
const NO_SALT = Buffer.alloc(0);

/**
 * @param salt empty in our format: the material is uniformly random already (RFC 5869 §3.1)
 * @returns the pseudorandom key, 32 bytes, for the caller to zero
 */
export function hkdfExtract(material: Uint8Array, salt: Uint8Array = NO_SALT): Buffer {
  return kept(createHmac('sha256', salt).update(material).digest());
}

/**
 * @param key made by {@link hkdfExtract}
 * @returns `length` bytes with memory of their own, for the caller to zero
 * @throws RangeError over 8160 bytes
 */
export function hkdfExpand(key: Uint8Array, info: Uint8Array, length: number): Buffer {
  const blocks = Math.ceil(length / HASH_BYTES);
  if (blocks > BLOCKS_MAX) throw new RangeError(`expected at most ${BLOCKS_MAX * HASH_BYTES}`);
  const out = allocateSecret(length);
  let block: Buffer = NO_SALT;
  for (let counter = 1; counter <= blocks; counter++) {
    const hmac = createHmac('sha256', key).update(block).update(info);
    const next = kept(hmac.update(Buffer.of(counter)).digest());
    block.fill(0);
    block = next;
    const at = (counter - 1) * HASH_BYTES;
    out.set(block.subarray(0, length - at), at);
  }
  block.fill(0);
  return out;
}

/** Moves bytes to where they can be zeroed, and zeroes where they were. */
function kept(bytes: Buffer): Buffer {
  const copy = allocateSecret(bytes.length);
  copy.set(bytes);
  bytes.fill(0);
  return copy;
}
