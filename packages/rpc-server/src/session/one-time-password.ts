/**
 * Time-based one-time passwords (RFC 6238): HMAC-SHA1, six digits, steps of 30 s, one step of
 * tolerance each way, the secret in base32 (RFC 4648) as authenticator apps want it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

const STEP_MS = 30_000;
const DIGITS = 6;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** @returns `undefined` when the text is not base32 */
export function decodeBase32(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text.toUpperCase().replaceAll(/[\s=]/g, '')) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >>> bits) & 0xff);
  }
  return Buffer.from(bytes);
}

/** The code of one time step (RFC 4226 §5.3). */
export function oneTimePassword(secret: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = mac.readUInt8(mac.length - 1) & 0xf;
  const number = (mac.readUInt32BE(offset) & 0x7f_ff_ff_ff) % 10 ** DIGITS;
  return String(number).padStart(DIGITS, '0');
}

/** Step that a time lies in. */
export function stepOf(timeMs: number): number {
  return Math.floor(timeMs / STEP_MS);
}

/** @returns the step whose code it is, for refusing a second use; `undefined` when it is none of the three */
export function matchingStep(secret: Buffer, code: string, nowMs: number): number | undefined {
  const given = Buffer.from(code.replaceAll(/\s/g, ''));
  if (given.length !== DIGITS) return undefined;
  const now = stepOf(nowMs);
  return [now - 1, now, now + 1].find((step) =>
    timingSafeEqual(given, Buffer.from(oneTimePassword(secret, step))),
  );
}
