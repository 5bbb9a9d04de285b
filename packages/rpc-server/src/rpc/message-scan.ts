/**
 * Counts what a JSON text holds before it is parsed: `JSON.parse` of 2 MiB of tiny objects blocks the
 * process for half a second, this for some milliseconds, and it stops at the first value too many.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

export interface ScanLimits {
  /** Objects and arrays inside each other. */
  readonly depth: number;
  /** Values, each text, number, truth value, `null`, object and array: names of members are none. */
  readonly values: number;
}

/** Index of the quote that ends the string begun at `at`, or the end of the bytes. */
function endOfString(bytes: Uint8Array, at: number): number {
  let i = at + 1;
  while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
  return i;
}

function isDelimiter(byte: number): boolean {
  return (
    byte === COMMA ||
    byte === COLON ||
    byte === QUOTE ||
    byte === OPEN_ARRAY ||
    byte === CLOSE_ARRAY ||
    byte === OPEN_OBJECT ||
    byte === CLOSE_OBJECT ||
    byte <= SPACE
  );
}

/** Index of the last byte of the number or word begun at `at`. */
function endOfWord(bytes: Uint8Array, at: number): number {
  let i = at + 1;
  while (i < bytes.length && !isDelimiter(bytes[i] ?? 0)) i += 1;
  return i - 1;
}

/**
 * @param bytes UTF-8; whether it is JSON at all is for the parser to say
 * @returns which limit it goes past
 */
export function scanMessage(bytes: Uint8Array, limits: ScanLimits): keyof ScanLimits | undefined {
  let depth = 0;
  let values = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) {
      i = endOfString(bytes, i);
      values += 1;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      depth += 1;
      if (depth > limits.depth) return 'depth';
      values += 1;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      depth -= 1;
    } else if (byte === COLON) {
      // What stood before it was a name.
      values -= 1;
    } else if (byte !== COMMA && byte > SPACE) {
      i = endOfWord(bytes, i);
      values += 1;
    }
    // A name is counted until its colon comes.
    if (values > limits.values + 1) return 'values';
  }
  return values > limits.values ? 'values' : undefined;
}
