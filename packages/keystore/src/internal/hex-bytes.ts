/**
 * Hexadecimal between buffers. A string could not be zeroed after use, so secrets are read and
 * written without ever being one.
 */
import { allocateSecret } from '@vault/crypto';

const DIGITS = Buffer.from('0123456789abcdef', 'latin1');

function digitValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** @returns a new buffer of half the length, or `undefined` when a byte is not a hexadecimal digit or their number is odd */
export function decodeHex(text: Uint8Array): Buffer | undefined {
  if (text.length % 2 !== 0) return undefined;
  const out = allocateSecret(text.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = digitValue(text[2 * i] ?? 0);
    const low = digitValue(text[2 * i + 1] ?? 0);
    if (high < 0 || low < 0) {
      out.fill(0);
      return undefined;
    }
    out[i] = high * 16 + low;
  }
  return out;
}

/** Writes lower case digits, two a byte. @returns the offset after them */
export function encodeHexInto(target: Buffer, offset: number, bytes: Uint8Array): number {
  let at = offset;
  for (const byte of bytes) {
    target[at++] = DIGITS[byte >> 4] ?? 0;
    target[at++] = DIGITS[byte & 0x0f] ?? 0;
  }
  return at;
}
