import { createSecretKey } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { hkdfSha256 } from '../../src/internal/hkdf.js';
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
  const key = createSecretKey(material);
  expect(hkdfSha256(key, infoBytes, length, saltBytes).toString('hex')).toBe(okm);
});

test('the salt is empty when none is given, as in our format', () => {
  const key = createSecretKey(Buffer.alloc(64, 1));
  const info = Buffer.from('info');
  expect(hkdfSha256(key, info, 32)).toEqual(hkdfSha256(key, info, 32, Buffer.alloc(0)));
});

test('derived bytes have memory of their own, so that zeroing them touches nothing else', () => {
  const bytes = hkdfSha256(createSecretKey(Buffer.alloc(64, 1)), Buffer.from('info'), 32);
  expect(bytes.buffer.byteLength).toBe(32);
});
