import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeIndexEntries, encodeIndexEntries } from '../src/index.js';

const name = fc
  .tuple(
    fc.constantFrom('a', 'm', 'z'),
    fc.array(fc.constantFrom('a', 'z', 'A', 'Z', '0', '9'), { maxLength: 63 }),
  )
  .map(([first, rest]) => first + rest.join(''));
const token = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'));
const entries = fc.array(fc.record({ index: name, token }), { maxLength: 8 });

test('what was written is read back, in order', () => {
  fc.assert(
    fc.property(entries, (list) => {
      expect(decodeIndexEntries(encodeIndexEntries(list))).toEqual(list);
    }),
  );
});

test('bytes that are read are exactly what writing the result gives: one list has one form', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(entries, fc.nat({ max: 400 }), fc.nat({ max: 255 })).map(([list, at, value]) => {
      const bytes = encodeIndexEntries(list);
      if (bytes.length > 0) bytes[at % bytes.length] = value;
      return bytes;
    }),
  );
  fc.assert(
    fc.property(noise, (bytes) => {
      const list = decodeIndexEntries(bytes);
      expect(list === undefined || encodeIndexEntries(list).equals(bytes)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test('a list cut anywhere but between entries is no list', () => {
  const list = [
    { index: 'host', token: 'AAAAAAAAAAAAAAAAAAAAAA' },
    { index: 'byOwner', token: '_____________________w' },
  ];
  const bytes = encodeIndexEntries(list);
  const between = 2 + 4 + 16;
  const whole = new Map([
    [0, []],
    [between, list.slice(0, 1)],
    [bytes.length, list],
  ]);
  for (let length = 0; length <= bytes.length; length++) {
    expect(decodeIndexEntries(bytes.subarray(0, length))).toEqual(whole.get(length));
  }
});

test.each([
  ['an empty name', ''],
  ['an upper case first letter', 'Host'],
  ['a name of another alphabet', 'hôte'],
  ['a name of 65 characters', 'x'.repeat(65)],
])('%s is refused when writing and when reading', (_, index) => {
  expect(() => encodeIndexEntries([{ index, token: 'AAAAAAAAAAAAAAAAAAAAAA' }])).toThrow(
    /^the name of an index must match/,
  );
  const bytes = Buffer.concat([
    Buffer.of(0, Buffer.byteLength(index)),
    Buffer.from(index),
    Buffer.alloc(16),
  ]);
  expect(decodeIndexEntries(bytes)).toBeUndefined();
});

test.each([
  ['short', 'AAAA'],
  ['long', 'AAAAAAAAAAAAAAAAAAAAAAA'],
  ['not in canonical form', 'AAAAAAAAAAAAAAAAAAAAAB'],
  ['in the letters of plain base64', '++++++++++++++++++++AA'],
])('a token that is %s is refused, and not shown', (_, bad) => {
  expect(() => encodeIndexEntries([{ index: 'host', token: bad }])).toThrow(
    new RangeError('expected a token of 22 characters of base64url'),
  );
});
