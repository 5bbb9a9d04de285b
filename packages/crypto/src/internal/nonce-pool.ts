import { randomFillSync } from 'node:crypto';

/** 12 bytes at a time cost about 2 µs in `randomBytes`; a pool filled 8 KiB at a time makes that a copy. */
const POOL_BYTES = 12 * 683;

export const NONCE_BYTES = 12;

const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** Copies 12 fresh random bytes to `target` at `offset`; bytes given out are wiped from the pool. */
export function writeNonce(target: Buffer, offset: number): void {
  if (used + NONCE_BYTES > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  pool.copy(target, offset, used, used + NONCE_BYTES);
  pool.fill(0, used, used + NONCE_BYTES);
  used += NONCE_BYTES;
}
