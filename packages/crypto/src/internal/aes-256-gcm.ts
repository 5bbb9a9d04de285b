/**
 * AES-256-GCM as in NIST SP 800-38D with a 96-bit nonce and a 128-bit tag: the one place where this
 * package calls the cipher, so that the NIST vectors run through the code that records run through.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

const ALGORITHM = 'aes-256-gcm';
/** Said aloud: without it Node accepts shorter tags when decrypting. */
const TAG_OPTION = { authTagLength: TAG_BYTES } as const;

/**
 * Encrypts and writes `ciphertext ‖ tag (16)` to `out` at `offset`.
 * @param nonce 12 bytes, never used before with this key
 */
export function encryptGcm(
  key: KeyObject,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  plaintext: Uint8Array,
  out: Buffer,
  offset: number,
): void {
  const cipher = createCipheriv(ALGORITHM, key, nonce, TAG_OPTION);
  cipher.setAAD(associatedData);
  out.set(cipher.update(plaintext), offset);
  cipher.final();
  out.set(cipher.getAuthTag(), offset + plaintext.byteLength);
}

/**
 * Decrypts and authenticates.
 * @returns the plaintext, a new buffer, only once the tag was found right
 * @throws Error of `node:crypto` when it does not authenticate; callers turn it into the error of their format
 */
export function decryptGcm(
  key: KeyObject,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  ciphertext: Uint8Array,
  tag: Uint8Array,
): Buffer {
  const decipher = createDecipheriv(ALGORITHM, key, nonce, TAG_OPTION);
  decipher.setAAD(associatedData);
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  decipher.final();
  return plaintext;
}
