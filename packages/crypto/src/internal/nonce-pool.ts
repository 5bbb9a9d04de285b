import { randomFillSync } from 'node:crypto';
import { NONCE_BYTES } from './aes-256-gcm.js';

/** Writes 12 bytes that were never written before to `target` at `offset`. */
export type NonceWriter = (target: Buffer, offset: number) => void;

/** 12 bytes at a time cost about 2 µs in `randomBytes`; a pool filled 8 KiB at a time makes that a copy. */
const POOL_BYTES = NONCE_BYTES * 683;

/**
 * Random 96-bit nonces (NIST SP 800-38D §8.2.2), given out once and wiped from the pool.
 *
 * The low 32 bits of the clock are added by XOR. A virtual machine that is set back to a snapshot of
 * its memory would otherwise give out the same random bytes a second time, from this pool as from
 * the generator in OpenSSL, and two records under one nonce would give GCM away. Random bytes XOR
 * something independent are as random as before, so nothing is lost by it.
 *
 * @param fillRandom fills the whole buffer
 * @param nowMs milliseconds since the epoch
 */
export function createNonceWriter(
  fillRandom: (pool: Buffer) => void,
  nowMs: () => number,
): NonceWriter {
  const pool = Buffer.alloc(POOL_BYTES);
  let used = POOL_BYTES;
  return (target, offset) => {
    if (used === POOL_BYTES) {
      fillRandom(pool);
      used = 0;
    }
    pool.copy(target, offset, used, used + NONCE_BYTES);
    pool.fill(0, used, used + NONCE_BYTES);
    used += NONCE_BYTES;
    target.writeUInt32BE((target.readUInt32BE(offset) ^ nowMs()) >>> 0, offset);
  };
}

export const writeNonce: NonceWriter = createNonceWriter(
  (pool) => void randomFillSync(pool),
  Date.now,
);
