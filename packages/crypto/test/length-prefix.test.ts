import { expect, test } from '@jest/globals';
import { LENGTH_PREFIX_MAX, lengthPrefixed } from '../src/index.js';

test.each([
  ['', '0000'],
  ['a', '000161'],
  ['é', '0002c3a9'],
  ['\u{1f511}', '0004f09f9491'],
])('"%s" becomes %s, as text and as bytes', (text, hex) => {
  expect(lengthPrefixed(text).toString('hex')).toBe(hex);
  expect(lengthPrefixed(Buffer.from(text)).toString('hex')).toBe(hex);
});

test('65 535 bytes are the most, counted in UTF-8', () => {
  const longest = lengthPrefixed(Buffer.alloc(LENGTH_PREFIX_MAX, 1));
  expect(longest).toHaveLength(65_537);
  expect(longest.readUInt16BE(0)).toBe(LENGTH_PREFIX_MAX);
  const error = new RangeError('expected at most 65535 bytes, met 65536');
  expect(() => lengthPrefixed(Buffer.alloc(65_536))).toThrow(error);
  expect(() => lengthPrefixed('é'.repeat(32_768))).toThrow(error);
});
