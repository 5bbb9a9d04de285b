import { describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import fc from 'fast-check';
import type { HalfLine } from '../src/half-source.js';
import { BARE_LINES_MAX, formatHalfValue, parseHalfValue } from '../src/half-value.js';

const keyId = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('hex') as KeyId);
const half = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => bytes.some((byte) => byte !== 0));
const line = fc.record({ keyId: fc.option(keyId, { nil: undefined }), half });
const lines = fc.uniqueArray(line, {
  minLength: 1,
  maxLength: BARE_LINES_MAX,
  selector: (one) => `${one.keyId ?? ''}:${Buffer.from(one.half).toString('hex')}`,
});

type PlainLine = { readonly keyId: KeyId | undefined; readonly half: Uint8Array };
const toLines = (plain: readonly PlainLine[]): readonly HalfLine[] =>
  plain.map((one) => ({ keyId: one.keyId, half: KeyHalf.fromBytes(one.half) }));
const texts = (parsed: readonly HalfLine[]): readonly string[] =>
  parsed.map((one) => `${one.keyId ?? ''}:${one.half.unsafeHex()}`);

describe('the parser of half values', () => {
  test('reads back what the formatter wrote, in the same order', () => {
    fc.assert(
      fc.property(lines, (plain) => {
        const value = formatHalfValue(toLines(plain));
        const parsed = parseHalfValue(value);
        expect(parsed.flaw).toBeUndefined();
        expect(texts(parsed.lines)).toEqual(texts(toLines(plain)));
      }),
    );
  });

  test('does not care for blanks around lines, empty lines and carriage returns', () => {
    const blank = fc.constantFrom('', ' ', '\t', '\r', ' \r');
    fc.assert(
      fc.property(lines, fc.array(blank, { minLength: 1 }), (plain, blanks) => {
        const value = formatHalfValue(toLines(plain)).toString('latin1');
        const spaced = value
          .split('\n')
          .map(
            (text, n) => `${blanks[n % blanks.length]}${text}${blanks[(n + 1) % blanks.length]}\n`,
          )
          .join('\n');
        const parsed = parseHalfValue(Buffer.from(spaced, 'latin1'));
        expect(parsed.flaw).toBeUndefined();
        expect(texts(parsed.lines)).toEqual(texts(toLines(plain)));
      }),
    );
  });

  test('never shortens: a value that is cut anywhere gives only whole lines, and a flaw in the middle of one', () => {
    fc.assert(
      fc.property(lines, fc.nat(), (plain, at) => {
        const value = formatHalfValue(toLines(plain));
        const cut = at % value.length;
        const parsed = parseHalfValue(value.subarray(0, cut));
        const whole = texts(toLines(plain));
        expect(whole.slice(0, parsed.lines.length)).toEqual(texts(parsed.lines));
        const isBetweenLines = cut > 0 && (value[cut] === 0x0a || value[cut - 1] === 0x0a);
        expect(parsed.flaw === undefined).toBe(isBetweenLines);
      }),
    );
  });

  test('takes any bytes without throwing, leaves them alone, and quotes none of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, allowRaw) => {
        const before = Buffer.from(bytes);
        const parsed = parseHalfValue(bytes, { allowRaw });
        expect(Buffer.from(bytes).equals(before)).toBe(true);
        expect(parsed.lines.length > 0 || parsed.flaw !== undefined).toBe(true);
        for (const { half: read } of parsed.lines) expect(read.unsafeBytes()).toHaveLength(32);
      }),
    );
  });

  test('a changed byte of a line is another half or a flaw, never the same half', () => {
    fc.assert(
      fc.property(half, fc.nat(63), fc.integer({ min: 0, max: 255 }), (bytes, at, byte) => {
        const original = KeyHalf.fromBytes(bytes).unsafeHex();
        const value = Buffer.from(original, 'latin1');
        fc.pre(String.fromCharCode(byte).toLowerCase() !== original[at]);
        value[at] = byte;
        const parsed = parseHalfValue(value);
        expect(texts(parsed.lines)).not.toContain(`:${original}`);
      }),
    );
  });
});
