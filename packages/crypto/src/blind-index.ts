/**
 * Blind index token v1: the first 16 bytes of `HMAC-SHA256(index key, normalised value)`, base64url
 * without padding (22 characters). HMAC as in RFC 2104, truncated as its §5 allows.
 */
import type { IndexKey } from './index-key.js';
import { lengthPrefixed } from './length-prefix.js';

export const TOKEN_BYTES = 16;
export const TOKEN_CHARACTERS = 22;
/** 16 bytes leave 2 bits for the last character, so it is one of four: each token is written in one way. */
const TOKEN = /^[A-Za-z0-9_-]{21}[AQgw]$/;

/** Whether `value` has the form of a token. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value);
}

/**
 * @param normalised the value after {@link normaliseValue} or {@link joinNormalised}; UTF-8 or bytes
 * @returns 22 characters of base64url
 * @throws {KeyDestroyedError}
 */
export function blindIndexToken(key: IndexKey, normalised: string | Uint8Array): string {
  return key.digestBase64url(normalised, TOKEN_BYTES);
}

/** How a value is made comparable before it is hashed. */
export type Normalisation = 'text' | 'none';

/**
 * `text`: `String(value)`, stream-safe, Unicode NFKC, lower case: lookups ignore case and compatibility forms.
 * `none`: `String(value)` as it is, for bearer tokens and hashes.
 */
export function normaliseValue(value: unknown, normalisation: Normalisation = 'text'): string {
  const text = String(value);
  return normalisation === 'none' ? text : streamSafe(text).normalize('NFKC').toLowerCase();
}

/** Combining marks, and the two letters that become marks. */
const LONG_RUN_OF_MARKS = /([\p{M}\uFF9E\uFF9F]{30})(?=[\p{M}\uFF9E\uFF9F])/gu;
const GRAPHEME_JOINER = '\u034F';

/**
 * Stream-Safe Text Format (UAX #15, section 13): no run of more than 30 marks. To order a run takes the
 * square of its length, so that a stranger's name of 64 KiB would hold everybody up for a second.
 */
function streamSafe(text: string): string {
  return text.length <= 30 ? text : text.replaceAll(LONG_RUN_OF_MARKS, `$1${GRAPHEME_JOINER}`);
}

/** The value of a compound index: each normalised field length-prefixed, so that ("ab","c") and ("a","bc") differ. @throws RangeError when a field is over 65 535 bytes */
export function joinNormalised(fields: readonly string[]): Buffer {
  return Buffer.concat(fields.map(lengthPrefixed));
}
