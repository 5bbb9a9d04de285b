import { describe, expect, test } from '@jest/globals';
import { KEY_HALF_BYTES, KeyDestroyedError, KeyHalf, KeyHalfInvalidError } from '../src/index.js';

const HEX = '00112233445566778899aabbccddeeff'.repeat(2);

describe('a half is exactly 32 bytes', () => {
  test('as bytes, as hexadecimal in either case, or generated', () => {
    const half = KeyHalf.fromHex(HEX);
    expect(half.unsafeHex()).toBe(HEX);
    expect(KeyHalf.fromHex(HEX.toUpperCase()).equals(half)).toBe(true);
    expect(KeyHalf.fromBytes(Buffer.from(HEX, 'hex')).equals(half)).toBe(true);
    expect(KeyHalf.generate().unsafeBytes()).toHaveLength(KEY_HALF_BYTES);
    expect(KeyHalf.generate().equals(KeyHalf.generate())).toBe(false);
  });

  test.each([0, 1, 16, 31, 33, 64])('%i bytes are corrupt', (length) => {
    expect(() => KeyHalf.fromBytes(Buffer.alloc(length, 0xab))).toThrow(
      new KeyHalfInvalidError('32 bytes', `${length} bytes`),
    );
  });

  test.each([
    ['empty', ''],
    ['a digit short', HEX.slice(1)],
    ['a digit long', `${HEX}0`],
    ['with a line feed behind', `${HEX}\n`],
    ['with a prefix', `0x${HEX.slice(2)}`],
    ['with a letter that is no digit', `g${HEX.slice(1)}`],
    ['with a space', ` ${HEX.slice(1)}`],
  ])('hexadecimal that is %s is corrupt, and not shown', (_, hex) => {
    expect(() => KeyHalf.fromHex(hex)).toThrow(
      new KeyHalfInvalidError('64 hexadecimal digits', `${hex.length} characters`),
    );
  });

  test('32 zero bytes are corrupt: a lost disk block is no secret', () => {
    const error = new KeyHalfInvalidError('a random secret', '32 zero bytes');
    expect(() => KeyHalf.fromBytes(Buffer.alloc(32))).toThrow(error);
    expect(() => KeyHalf.fromHex('0'.repeat(64))).toThrow(error);
    expect(KeyHalf.fromHex(`${'0'.repeat(63)}1`).unsafeBytes()[31]).toBe(1);
  });
});

describe('its memory', () => {
  test('is a copy: the caller may zero what it came from', () => {
    const bytes = Buffer.from(HEX, 'hex');
    const half = KeyHalf.fromBytes(bytes);
    bytes.fill(0);
    expect(half.unsafeHex()).toBe(HEX);
  });

  test.each([
    ['fromBytes', () => KeyHalf.fromBytes(Buffer.from(HEX, 'hex'))],
    ['fromHex', () => KeyHalf.fromHex(HEX)],
    ['generate', () => KeyHalf.generate()],
  ])('from %s is not shared with other buffers', (_, make) => {
    expect(make().unsafeBytes().buffer.byteLength).toBe(KEY_HALF_BYTES);
  });

  test('is zeroed by destroy(), after which every use throws', () => {
    const half = KeyHalf.fromHex(HEX);
    const other = KeyHalf.fromHex(HEX);
    const bytes = half.unsafeBytes();
    half.destroy();
    half.destroy();
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    for (const use of [
      () => half.unsafeBytes(),
      () => half.unsafeHex(),
      () => half.fingerprint(),
      () => half.equals(other),
      () => other.equals(half),
    ]) {
      expect(use).toThrow(KeyDestroyedError);
    }
    expect(other.unsafeHex()).toBe(HEX);
  });
});

test('a fingerprint names a half, is the same for the same bytes, and is no part of it', () => {
  const fingerprint = KeyHalf.fromHex(HEX).fingerprint();
  expect(fingerprint).toMatch(/^[0-9a-f]{8}$/);
  expect(KeyHalf.fromHex(HEX.toUpperCase()).fingerprint()).toBe(fingerprint);
  expect(KeyHalf.generate().fingerprint()).not.toBe(fingerprint);
  expect(HEX).not.toContain(fingerprint);
});
