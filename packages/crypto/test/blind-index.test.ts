import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  blindIndexToken,
  isToken,
  joinNormalised,
  KeyHalf,
  normaliseValue,
  TOKEN_BYTES,
  TOKEN_CHARACTERS,
  VaultKey,
} from '../src/index.js';

const key = VaultKey.derive(KeyHalf.generate(), KeyHalf.generate());
const hostKey = key.indexKey('server', 'host');

describe('normalising as text', () => {
  test.each([
    ['XEN01.Example.ORG', 'xen01.example.org'],
    ['ＡＢＣ', 'abc'],
    ['ﬁle', 'file'],
    ['e\u0301', 'é'],
    ['\u212b', 'å'],
    ['Straße', 'straße'],
  ])('%s is looked up as %s', (value, normalised) => {
    expect(normaliseValue(value)).toBe(normalised);
  });

  test.each([
    [42, '42'],
    [true, 'true'],
    [null, 'null'],
    [-0, '0'],
    [['A', 'B'], 'a,b'],
  ])('%p is taken as its text', (value, normalised) => {
    expect(normaliseValue(value)).toBe(normalised);
  });

  test('normalising twice changes nothing, at any code point of the planes that have case or compatibility forms', () => {
    const changing: string[] = [];
    for (let codePoint = 0; codePoint <= 0x2ffff; codePoint++) {
      const once = normaliseValue(String.fromCodePoint(codePoint));
      if (normaliseValue(once) !== once) changing.push(codePoint.toString(16));
    }
    expect(changing).toEqual([]);
  });
});

test('with normalisation "none" a value stays as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      expect(normaliseValue(value, 'none')).toBe(value);
    }),
  );
});

describe('a token', () => {
  test('has 22 characters of base64url for any value, as text or as bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 700 }), (value) => {
        const token = blindIndexToken(hostKey, value);
        expect(token).toHaveLength(TOKEN_CHARACTERS);
        expect(isToken(token)).toBe(true);
        expect(Buffer.from(token, 'base64url')).toHaveLength(TOKEN_BYTES);
        expect(blindIndexToken(hostKey, Buffer.from(value))).toBe(token);
      }),
    );
  });

  test('differs by value, index, collection and key', () => {
    const other = VaultKey.derive(KeyHalf.generate(), KeyHalf.generate());
    const tokens = [
      blindIndexToken(hostKey, 'a'),
      blindIndexToken(hostKey, 'b'),
      blindIndexToken(hostKey, ''),
      blindIndexToken(key.indexKey('server', 'label'), 'a'),
      blindIndexToken(key.indexKey('remote', 'host'), 'a'),
      blindIndexToken(other.indexKey('server', 'host'), 'a'),
    ];
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  test('is told from anything that is not written in its one form', () => {
    const token = 'AAAAAAAAAAAAAAAAAAAAAA';
    expect(isToken(token)).toBe(true);
    // The last two stand for the same 16 bytes in lenient decoders, or hold base64's other letters.
    for (const value of [
      '',
      token.slice(1),
      `${token}A`,
      `${token.slice(1)}B`,
      `+${token.slice(1)}`,
    ]) {
      expect(isToken(value)).toBe(false);
    }
    expect(isToken(Buffer.alloc(16))).toBe(false);
  });
});

describe('the fields of a compound index', () => {
  test('cannot run into each other', () => {
    const fields = fc.array(fc.string({ maxLength: 6 }), { maxLength: 4 });
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        const isSame = a.length === b.length && a.every((field, i) => field === b[i]);
        expect(joinNormalised(a).equals(joinNormalised(b))).toBe(isSame);
      }),
    );
  });

  test('over 65 535 bytes are a RangeError', () => {
    expect(joinNormalised(['x'.repeat(65_535)])).toHaveLength(65_537);
    expect(() => joinNormalised(['é'.repeat(32_768)])).toThrow(
      new RangeError('expected at most 65535 bytes, met 65536'),
    );
  });
});

test('a text of marks alone is not ordered in time that grows with its square', () => {
  // Of half a million marks that took longer than this test may.
  const marks = normaliseValue(`a${'\u0315\u0300'.repeat(250_000)}`);
  const letters = normaliseValue(`a${'\uFF9E\u0334'.repeat(250_000)}`);
  expect(marks.length + letters.length).toBeGreaterThan(1_000_000);
  // A run as long as any that people write is as Unicode says.
  const run = `a${'\u0315\u0300'.repeat(15)}`;
  expect(normaliseValue(run)).toBe(run.normalize('NFKC'));
});
