import { hkdfSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

const NO_SALT = Buffer.alloc(0);

/**
 * HKDF-SHA256, extract and expand (RFC 5869).
 * @param salt empty in our format: the input key material is uniformly random already (RFC 5869 §3.1)
 * @returns `length` bytes with memory of their own, for the caller to zero
 */
export function hkdfSha256(
  material: KeyObject,
  info: Uint8Array,
  length: number,
  salt: Uint8Array = NO_SALT,
): Buffer {
  return Buffer.from(hkdfSync('sha256', material, salt, info, length));
}
