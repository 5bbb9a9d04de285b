/**
 * The text of a half value, the same in every source that stores one:
 *
 * ```
 * value     = line *( LF line ) [ LF ]      at most 16 384 bytes; the newest line last
 * line      = key id (16 lower case hex) ":" half (64 hex)       81 bytes, what we write
 *           | half (64 hex)                                      64 bytes, bare: what Xen Orchestra writes
 * or, in a file or a credential, exactly 32 raw bytes
 * ```
 *
 * Blanks around a line and empty lines do not count. A half is never shortened, padded or hashed
 * into shape; one of only zeros is none. Whatever does not fit is a *flaw*, and the whole lines beside it are still read.
 */
import { isKeyId, KEY_HALF_BYTES } from '@vault/crypto';
import { destroyLines } from './half-source.js';
import type { HalfLine, HalfReading, LabelledHalf, LineRemoval } from './half-source.js';
import { halfFromBytes } from './internal/half-from-bytes.js';
import { decodeHex, encodeHexInto } from './internal/hex-bytes.js';

/** About 200 labelled lines, far more than keys that anybody keeps; bounds what a parser is fed. */
export const HALF_VALUE_MAX_BYTES = 16_384;
/** Bare lines are tried against every line of the other half, so their number is bounded. */
export const BARE_LINES_MAX = 16;

const KEY_ID_DIGITS = 16;
const HALF_DIGITS = 2 * KEY_HALF_BYTES;
/** `keyId:half` */
export const LABELLED_LINE_BYTES = KEY_ID_DIGITS + 1 + HALF_DIGITS;

const LINE_FEED = 0x0a;
const COLON = 0x3a;
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0d]);

export interface ParseOptions {
  /** Whether exactly 32 bytes that are not text are a half. Default: false. */
  readonly allowRaw?: boolean;
}

/** What a value holds. `flaw` is one sentence on the first thing in it that is not a half. */
export interface ParsedValue {
  readonly lines: readonly HalfLine[];
  readonly flaw: string | undefined;
}

/** @param value is not changed and not kept */
export function parseHalfValue(value: Uint8Array, options: ParseOptions = {}): ParsedValue {
  if (value.length > HALF_VALUE_MAX_BYTES) {
    return { lines: [], flaw: `expected at most ${HALF_VALUE_MAX_BYTES} bytes, met more` };
  }
  if (options.allowRaw === true && value.length === KEY_HALF_BYTES && !isCutText(value)) {
    const half = halfFromBytes(value);
    if (half !== undefined) return { lines: [{ keyId: undefined, half }], flaw: undefined };
  }
  const lines: HalfLine[] = [];
  let flaw: string | undefined;
  let number = 0;
  for (const text of textLines(value)) {
    number++;
    if (text.length === 0) continue;
    const line = parseLine(text);
    if (line === undefined) {
      flaw ??= `line ${number} is neither <key id>:<64 hex digits> nor 64 hex digits (it has ${text.length} bytes)`;
    } else if (lines.some((known) => isSameLine(known, line))) {
      line.half.destroy();
    } else if (line.keyId === undefined && countBare(lines) >= BARE_LINES_MAX) {
      line.half.destroy();
      flaw ??= `expected at most ${BARE_LINES_MAX} lines without a key id, met more`;
    } else {
      lines.push(line);
    }
  }
  if (lines.length === 0) flaw ??= 'the value is empty';
  return { lines, flaw };
}

/** Lines joined by LF, without one at the end. The buffer holds secrets: the caller zeroes it. */
export function formatHalfValue(lines: readonly HalfLine[]): Buffer {
  let length = Math.max(0, lines.length - 1);
  for (const line of lines) length += line.keyId === undefined ? HALF_DIGITS : LABELLED_LINE_BYTES;
  const out = Buffer.alloc(length);
  let at = 0;
  for (const [index, { keyId, half }] of lines.entries()) {
    if (index > 0) out[at++] = LINE_FEED;
    if (keyId !== undefined) at += out.write(`${keyId}:`, at, 'latin1');
    at = encodeHexInto(out, at, half.unsafeBytes());
  }
  return out;
}

/** A reading of a value that is there. */
export function readingOf(parsed: ParsedValue): HalfReading {
  return parsed.flaw === undefined
    ? { status: 'found', lines: parsed.lines }
    : { status: 'corrupt', reason: parsed.flaw, lines: parsed.lines };
}

/** What is to become of a stored value. */
export type ValueEdit =
  | { readonly action: 'keep' }
  /** `isCorrupt`: copy the old value aside first. `value` holds secrets: the caller zeroes it. */
  | { readonly action: 'replace'; readonly value: Buffer; readonly isCorrupt: boolean }
  | { readonly action: 'delete' };

/** The line to remove stands in a corrupt value: copied aside, it would not be removed at all. */
export interface RemovalRefusal {
  readonly action: 'refuse';
  readonly reason: string;
}

/** The value with one more line. @param current `undefined` when nothing is there */
export function appendEdit(
  current: Uint8Array | undefined,
  line: LabelledHalf,
  options: ParseOptions,
): ValueEdit {
  const parsed = current === undefined ? undefined : parseHalfValue(current, options);
  const lines = parsed?.lines ?? [];
  try {
    if (lines.some((known) => isSameLine(known, line))) return { action: 'keep' };
    const value = formatHalfValue([...lines, line]);
    return { action: 'replace', value, isCorrupt: parsed?.flaw !== undefined };
  } finally {
    destroyLines(lines);
  }
}

/** The value without some lines. @param current `undefined` when nothing is there */
export function removeEdit(
  current: Uint8Array | undefined,
  removal: LineRemoval,
  options: ParseOptions,
): ValueEdit | RemovalRefusal {
  if (current === undefined) return { action: 'keep' };
  const { lines, flaw } = parseHalfValue(current, options);
  try {
    const kept = lines.filter((line) => !isToRemove(line, removal));
    if (kept.length === lines.length) return { action: 'keep' };
    if (flaw !== undefined) return { action: 'refuse', reason: flaw };
    if (kept.length === 0) return { action: 'delete' };
    return { action: 'replace', value: formatHalfValue(kept), isCorrupt: false };
  } finally {
    destroyLines(lines);
  }
}

function isToRemove(line: HalfLine, removal: LineRemoval): boolean {
  if (line.keyId !== undefined) return line.keyId === removal.keyId;
  return removal.bareHalf !== undefined && line.half.equals(removal.bareHalf);
}

function isSameLine(one: HalfLine, other: HalfLine): boolean {
  return one.keyId === other.keyId && one.half.equals(other.half);
}

function countBare(lines: readonly HalfLine[]): number {
  return lines.filter(({ keyId }) => keyId === undefined).length;
}

/** 32 bytes that could be the beginning of our text are a cut value, not 32 random bytes (the chance of that is under 2^-100). */
function isCutText(value: Uint8Array): boolean {
  return value.every((byte) => /[0-9a-fA-F:\s]/.test(String.fromCharCode(byte)));
}

function* textLines(value: Uint8Array): Generator<Uint8Array> {
  let start = 0;
  while (start <= value.length) {
    const feed = value.indexOf(LINE_FEED, start);
    const end = feed < 0 ? value.length : feed;
    yield trimBlanks(value.subarray(start, end));
    start = end + 1;
  }
}

function trimBlanks(text: Uint8Array): Uint8Array {
  let start = 0;
  let end = text.length;
  while (start < end && BLANKS.has(text[start] ?? 0)) start++;
  while (end > start && BLANKS.has(text[end - 1] ?? 0)) end--;
  return text.subarray(start, end);
}

function parseLine(text: Uint8Array): HalfLine | undefined {
  if (text.length === HALF_DIGITS) return halfLine(undefined, text);
  if (text.length !== LABELLED_LINE_BYTES || text[KEY_ID_DIGITS] !== COLON) return undefined;
  const keyId = Buffer.from(text.subarray(0, KEY_ID_DIGITS)).toString('latin1');
  return isKeyId(keyId) ? halfLine(keyId, text.subarray(KEY_ID_DIGITS + 1)) : undefined;
}

function halfLine(keyId: HalfLine['keyId'], digits: Uint8Array): HalfLine | undefined {
  const bytes = decodeHex(digits);
  if (bytes === undefined) return undefined;
  const half = halfFromBytes(bytes);
  bytes.fill(0);
  return half === undefined ? undefined : { keyId, half };
}
