import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KeyDestroyedError } from '../../src/errors.js';
import { HMAC_BYTES, HmacSha256 } from '../../src/internal/hmac-sha256.js';
import { readJson } from '../vectors/read.js';

interface HmacCase {
  readonly testCase: number;
  readonly key: string;
  readonly message: string;
  readonly mac: string;
}

const { cases } = readJson('rfc4231-hmac-sha256.json') as { cases: readonly HmacCase[] };

test('the file holds the seven cases of RFC 4231', () => {
  expect(cases.map(({ testCase }) => testCase)).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

describe.each(cases)('RFC 4231 test case $testCase', ({ key, message, mac }) => {
  const hmac = new HmacSha256(Buffer.from(key, 'hex'));
  const bytes = Buffer.from(message, 'hex');
  const macBytes = mac.length / 2;

  test('as bytes', () => {
    expect(hmac.digest(bytes).subarray(0, macBytes).toString('hex')).toBe(mac);
  });

  test('as base64url, cut to the length asked for', () => {
    const expected = Buffer.from(mac, 'hex').toString('base64url');
    expect(hmac.digestBase64url(bytes, macBytes)).toBe(expected);
  });
});

test('agrees with createHmac on every key, message and order of calls', () => {
  // 512 bytes is where short messages end, 64 the block of SHA-256.
  const lengths = fc.constantFrom(0, 1, 55, 56, 63, 64, 65, 511, 512, 513, 600, 5000);
  const message = fc.oneof(
    lengths.chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
    lengths.map((length) => 'é'.repeat(length / 2)),
    fc.string({ unit: 'binary', maxLength: 300 }),
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      fc.array(message, { minLength: 1, maxLength: 5 }),
      (key, messages) => {
        const hmac = new HmacSha256(key);
        for (const text of messages) {
          const expected = createHmac('sha256', key).update(text).digest();
          expect(hmac.digest(text).equals(expected)).toBe(true);
          expect(hmac.digestBase64url(text, 16)).toBe(expected.toString('base64url', 0, 16));
        }
      },
    ),
  );
});

test('a result is not overwritten by the next one', () => {
  const hmac = new HmacSha256(Buffer.alloc(32, 7));
  const first = hmac.digest('first');
  const copy = Buffer.from(first);
  hmac.digest('second');
  expect(first).toEqual(copy);
  expect(first).toHaveLength(HMAC_BYTES);
});

test('a destroyed key throws, and the caller may zero the bytes it was made from', () => {
  const key = Buffer.alloc(32, 7);
  const hmac = new HmacSha256(key);
  const before = hmac.digest('text');
  key.fill(0);
  expect(hmac.digest('text')).toEqual(before);
  hmac.destroy();
  expect(() => hmac.digest('text')).toThrow(KeyDestroyedError);
  expect(() => hmac.digestBase64url('text', 16)).toThrow(KeyDestroyedError);
});
