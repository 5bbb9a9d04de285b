import { expect, test } from '@jest/globals';
import { NONCE_BYTES } from '../../src/internal/aes-256-gcm.js';
import { createNonceWriter, writeNonce } from '../../src/internal/nonce-pool.js';
import type { NonceWriter } from '../../src/internal/nonce-pool.js';

function takeNonces(write: NonceWriter, count: number): string[] {
  return Array.from({ length: count }, () => {
    const target = Buffer.alloc(NONCE_BYTES + 2, 0xee);
    write(target, 1);
    expect([target[0], target[NONCE_BYTES + 1]]).toEqual([0xee, 0xee]);
    return target.toString('hex', 1, NONCE_BYTES + 1);
  });
}

/** Numbers the 12-byte slots of all pools it fills, in the last 4 bytes of each. */
function numberedPools(): (pool: Buffer) => void {
  let next = 1;
  return (pool) => {
    pool.fill(0);
    for (let at = 0; at < pool.length; at += NONCE_BYTES) pool.writeUInt32BE(next++, at + 8);
  };
}

test('every byte of a pool is given out once, in order, across refills', () => {
  const nonces = takeNonces(
    createNonceWriter(numberedPools(), () => 0),
    2000,
  );
  expect(nonces.map((nonce) => Number.parseInt(nonce, 16))).toEqual(
    Array.from({ length: 2000 }, (_, i) => i + 1),
  );
});

test('two machines that repeat the same random bytes at different times give different nonces', () => {
  const first = takeNonces(
    createNonceWriter(numberedPools(), () => 1_763_800_000_000),
    1000,
  );
  const second = takeNonces(
    createNonceWriter(numberedPools(), () => 1_763_800_000_001),
    1000,
  );
  expect(new Set([...first, ...second]).size).toBe(2000);
});

test('the clock is added to the random bytes by XOR, its low 32 bits only', () => {
  const write = createNonceWriter(
    (pool) => void pool.fill(0xff),
    () => 0x1_2345_6789,
  );
  expect(takeNonces(write, 1)).toEqual([`${(~0x23456789 >>> 0).toString(16)}ffffffffffffffff`]);
});

test('bytes given out are wiped from the pool', () => {
  let pool: Buffer = Buffer.alloc(0);
  const write = createNonceWriter(
    (filled) => {
      pool = filled;
      filled.fill(0xff);
    },
    () => 0,
  );
  takeNonces(write, 3);
  expect(pool.subarray(0, 3 * NONCE_BYTES).every((byte) => byte === 0)).toBe(true);
  expect(pool.subarray(3 * NONCE_BYTES).every((byte) => byte === 0xff)).toBe(true);
});

test('twenty thousand nonces of the real source all differ', () => {
  expect(new Set(takeNonces(writeNonce, 20_000)).size).toBe(20_000);
});
