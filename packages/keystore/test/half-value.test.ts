import { describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import { destroyLines } from '../src/half-source.js';
import {
  appendEdit,
  BARE_LINES_MAX,
  formatHalfValue,
  HALF_VALUE_MAX_BYTES,
  parseHalfValue,
} from '../src/half-value.js';

const ID = '0123456789abcdef' as KeyId;
const HEX = '0f'.repeat(32);

describe('a half value', () => {
  test('is written as frozen: label, colon, lower case digits, LF between lines', () => {
    const half = KeyHalf.fromHex(HEX.toUpperCase());
    const value = formatHalfValue([
      { keyId: undefined, half },
      { keyId: ID, half },
    ]);
    expect(value.toString('latin1')).toBe(`${HEX}\n${ID}:${HEX}`);
  });

  test.each([
    ['upper case digits in the half', `${ID}:${HEX.toUpperCase()}`, 1],
    ['the same line twice', `${ID}:${HEX}\n${ID}:${HEX}`, 1],
    ['one label with two halves: pairing decides', `${ID}:${HEX}\n${ID}:${'0e'.repeat(32)}`, 2],
  ])('may have %s', (_what, value, lines) => {
    const parsed = parseHalfValue(Buffer.from(value));
    expect(parsed.flaw).toBeUndefined();
    expect(parsed.lines).toHaveLength(lines);
  });

  test.each([
    ['an upper case label', `${ID.toUpperCase()}:${HEX}`],
    ['a label of 15 digits', `${ID.slice(1)}:${HEX}`],
    ['another separator', `${ID}=${HEX}`],
    ['a letter that is no digit', '0g'.repeat(32)],
    ['nothing but zeros', `${ID}:${'00'.repeat(32)}`],
    ['a byte order mark', `\ufeff${HEX}`],
    ['a NUL at the end', `${HEX}\0`],
    ['two halves in one line', `${HEX}${HEX}`],
    ['only blanks', ' \n\t\r\n'],
  ])('with %s has a flaw and no line', (_what, value) => {
    const { lines, flaw } = parseHalfValue(Buffer.from(value));
    expect(lines).toEqual([]);
    expect(flaw).toMatch(/\w/);
  });

  test('keeps whole lines beside a broken one, which is named by its number', () => {
    const value = Buffer.from(`${ID}:${HEX}\n\nmarker\n${HEX}\n`);
    const { lines, flaw } = parseHalfValue(value);
    expect(lines.map(({ keyId }) => keyId)).toEqual([ID, undefined]);
    expect(flaw).toBe(
      'line 3 is neither <key id>:<64 hex digits> nor 64 hex digits (it has 6 bytes)',
    );
  });

  test('takes 32 bytes for a half only where raw ones are allowed', () => {
    const raw = Buffer.alloc(32, 0xee);
    expect(parseHalfValue(raw).lines).toEqual([]);
    expect(parseHalfValue(raw, { allowRaw: true }).lines).toHaveLength(1);
    expect(parseHalfValue(Buffer.alloc(32), { allowRaw: true }).lines).toEqual([]);
  });

  test('is bounded in bytes and in bare lines', () => {
    const longest = Buffer.alloc(HALF_VALUE_MAX_BYTES, 0x20);
    longest.write(HEX);
    expect(parseHalfValue(longest)).toMatchObject({ flaw: undefined });
    expect(parseHalfValue(Buffer.concat([longest, longest])).flaw).toContain('at most 16384 bytes');
    const bare = (n: number): string => (n + 1).toString(16).padStart(64, '0');
    const many = Array.from({ length: BARE_LINES_MAX + 1 }, (_, n) => bare(n));
    const parsed = parseHalfValue(Buffer.from(many.join('\n')));
    expect(parsed.lines).toHaveLength(BARE_LINES_MAX);
    expect(parsed.flaw).toContain('without a key id');
  });

  test('appended to gives a new buffer; the old one is the caller’s', () => {
    const current = Buffer.from(HEX);
    const line = { keyId: ID, half: KeyHalf.fromHex(HEX) };
    const edit = appendEdit(current, line, {}, [KeyHalf.fromHex(HEX)]);
    expect(edit).toMatchObject({ action: 'replace', isCorrupt: false });
    expect(current.toString()).toBe(HEX);
    expect(line.half.unsafeHex()).toBe(HEX);
  });

  test('appended to stays byte for byte, a line that stands there twice too', () => {
    const old = `  ${HEX.toUpperCase()}\r\n${HEX}\n${ID}:${HEX}`;
    const half = KeyHalf.fromHex('0e'.repeat(32));
    const edit = appendEdit(Buffer.from(`${old}\n`), { keyId: ID, half }, {});
    if (edit.action !== 'replace') throw new Error(edit.action);
    expect(edit.value.toString()).toBe(`${old}\n${ID}:${'0e'.repeat(32)}`);
  });

  test('read into lines can be zeroed', () => {
    const { lines } = parseHalfValue(Buffer.from(HEX));
    destroyLines(lines);
    expect(() => lines[0]?.half.unsafeBytes()).toThrow('destroyed');
  });
});
