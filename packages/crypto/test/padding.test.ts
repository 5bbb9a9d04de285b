import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { padJson, unpadJson } from '../src/index.js';

const json = fc.json().map((text) => Buffer.from(text));

test('padded JSON has a length that is a multiple of the block, and is the same JSON', () => {
  fc.assert(
    fc.property(json, fc.integer({ min: 1, max: 2048 }), (bytes, block) => {
      const padded = padJson(bytes, block);
      expect(padded.length % block).toBe(0);
      expect(padded.length - bytes.length).toBeLessThan(block);
      expect(JSON.parse(padded.toString())).toEqual(JSON.parse(bytes.toString()));
      expect(unpadJson(padded).equals(bytes)).toBe(true);
    }),
  );
});

test('at the edges: nothing to pad, a full block, one byte more', () => {
  expect(padJson(Buffer.alloc(0), 16)).toHaveLength(0);
  expect(padJson(Buffer.from('{}'), 2).toString()).toBe('{}');
  expect(padJson(Buffer.from('{}'), 1).toString()).toBe('{}');
  expect(padJson(Buffer.from('"a"'), 2).toString()).toBe('"a" ');
  expect(padJson(Buffer.from('{}'), 65_536)).toHaveLength(65_536);
  expect(unpadJson(Buffer.from('   '))).toHaveLength(0);
});

test.each([0, -1, 1.5, 65_537, Number.NaN, Infinity])('a block of %p is a RangeError', (block) => {
  expect(() => padJson(Buffer.from('{}'), block)).toThrow(
    new RangeError('expected a padding block of 1 to 65536 bytes'),
  );
});
