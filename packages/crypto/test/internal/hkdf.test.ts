import { hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from '@jest/globals';
import { hkdfExpand, hkdfExtract } from '../../src/internal/hkdf.js';
import { readJson } from '../vectors/read.js';

interface HkdfCase {
  readonly testCase: number;
  readonly ikm: string;
  readonly salt: string;
  readonly info: string;
  readonly length: number;
  readonly okm: string;
}

const { cases } = readJson('rfc5869-hkdf-sha256.json') as { cases: readonly HkdfCase[] };

test('the file holds the three cases of RFC 5869 with SHA-256', () => {
  expect(cases.map(({ testCase }) => testCase)).toEqual([1, 2, 3]);
});

test.each(cases)('RFC 5869 test case $testCase', ({ ikm, salt, info, length, okm }) => {
  const [material, infoBytes, saltBytes] = [ikm, info, salt].map((hex) => Buffer.from(hex, 'hex'));
  if (material === undefined || infoBytes === undefined) throw new Error('unreachable');
  const key = hkdfExtract(material, saltBytes);
  expect(hkdfExpand(key, infoBytes, length).toString('hex')).toBe(okm);
});

test('gives what the runtime gives, for any material, salt, information and length', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(
      bytes,
      bytes,
      bytes,
      fc.integer({ min: 1, max: 300 }),
      (ikm, salt, info, length) => {
        const expected = Buffer.from(hkdfSync('sha256', ikm, salt, info, length));
        expect(hkdfExpand(hkdfExtract(ikm, salt), info, length)).toEqual(expected);
      },
    ),
  );
  expect(() => hkdfExpand(Buffer.alloc(32), Buffer.alloc(0), 8161)).toThrow(RangeError);
});

test('the salt is empty when none is given, as in our format', () => {
  const material = Buffer.alloc(64, 1);
  expect(hkdfExtract(material)).toEqual(hkdfExtract(material, Buffer.alloc(0)));
});

test('derived bytes have memory of their own, so that zeroing them touches nothing else', () => {
  const key = hkdfExtract(Buffer.alloc(64, 1));
  expect(
    [key, hkdfExpand(key, Buffer.from('info'), 32)].map((each) => each.buffer.byteLength),
  ).toEqual([32, 32]);
});
