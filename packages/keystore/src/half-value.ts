/**
 * The text of a half value, the same in every source that stores one:
 *
 * ```
 * value     = line *( LF line ) [ LF ]      at most 16 384 bytes; the newest line last
 * line      = key id (16 lower case hex) ":" half (64 hex) [ mark ]   81 or 112 bytes, what we write
 *           | half (64 hex)                                           64 bytes, bare: what Xen Orchestra writes
 * mark      = ":condemned=" UTC time to the second: somebody wants the line gone; it opens as before
 * or, in a file or a credential, exactly 32 raw bytes
 * ```
 *
 * A bare half says nothing of whose it is: where the server writes, it is *foreign* until the state of the database
 * names a key that it gives. A value with no line of ours is never changed; a foreign line beside ours stays as it is.
 *
 * Blanks around a line and empty lines do not count. A half is never shortened, padded or hashed
 * into shape; one of only zeros is none. Whatever does not fit is a *flaw*, and the whole lines beside it are still read.
 */
import { allocateSecret, isKeyId, KEY_HALF_BYTES } from '@vault/crypto';
import type { KeyHalf, KeyId } from '@vault/crypto';
import { formatMark, isOtherMark, parseMark } from './condemnation.js';
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
  const { placed, flaw } = placeLines(value, options);
  return { lines: distinctLines(placed), flaw };
}

/** A line, and the bytes of the value that it stands in: without its line feed, with the blanks around it. */
interface PlacedLine {
  /** Of a line that stands there twice, one and the same. */
  readonly line: HalfLine;
  readonly bytes: Uint8Array;
}

function distinctLines(placed: readonly PlacedLine[]): readonly HalfLine[] {
  return [...new Set(placed.map(({ line }) => line))];
}

function placeLines(
  value: Uint8Array,
  options: ParseOptions,
): { readonly placed: readonly PlacedLine[]; readonly flaw: string | undefined } {
  if (value.length > HALF_VALUE_MAX_BYTES) {
    return { placed: [], flaw: `expected at most ${HALF_VALUE_MAX_BYTES} bytes, met more` };
  }
  const raw = rawHalf(value, options);
  if (raw !== undefined) {
    return { placed: [{ line: { keyId: undefined, half: raw }, bytes: value }], flaw: undefined };
  }
  const placed: PlacedLine[] = [];
  let flaw: string | undefined;
  let number = 0;
  for (const bytes of textLines(value)) {
    const text = trimBlanks(bytes);
    number++;
    if (text.length === 0) continue;
    const line = parseLine(text);
    if (line === undefined) {
      flaw ??= `line ${number} is neither <key id>:<64 hex digits> nor 64 hex digits (it has ${text.length} bytes)`;
      continue;
    }
    const same = placed.find((known) => isSameLine(known.line, line));
    if (same !== undefined) {
      placed.push({ line: mergeDouble(placed, same.line, line), bytes });
    } else if (line.keyId === undefined && countBare(placed) >= BARE_LINES_MAX) {
      line.half.destroy();
      flaw ??= `expected at most ${BARE_LINES_MAX} lines without a key id, met more`;
    } else {
      placed.push({ line, bytes });
    }
  }
  if (placed.length === 0) flaw ??= 'the value is empty';
  return { placed, flaw };
}

/** Of a line that stands there twice, once condemned and once not, the one that is not counts. @returns it */
function mergeDouble(placed: PlacedLine[], known: HalfLine, double: HalfLine): HalfLine {
  if (known.condemnedAtMs === undefined || double.condemnedAtMs !== undefined) {
    double.half.destroy();
    return known;
  }
  known.half.destroy();
  for (const [at, { line, bytes }] of placed.entries()) {
    if (line === known) placed[at] = { line: double, bytes };
  }
  return double;
}

function rawHalf(value: Uint8Array, { allowRaw }: ParseOptions): KeyHalf | undefined {
  const isRaw = allowRaw === true && value.length === KEY_HALF_BYTES && !isCutText(value);
  return isRaw ? halfFromBytes(value) : undefined;
}

/** Lines joined by LF, without one at the end. The buffer holds secrets: the caller zeroes it. */
export function formatHalfValue(lines: readonly HalfLine[]): Buffer {
  let length = Math.max(0, lines.length - 1);
  for (const line of lines) length += bytesOf(line);
  const out = allocateSecret(length);
  let at = 0;
  for (const [index, line] of lines.entries()) {
    if (index > 0) out[at++] = LINE_FEED;
    if (line.keyId !== undefined) at += out.write(`${line.keyId}:`, at, 'latin1');
    at = encodeHexInto(out, at, line.half.unsafeBytes());
    at += out.write(markOf(line), at, 'latin1');
  }
  return out;
}

function bytesOf(line: HalfLine): number {
  return line.keyId === undefined ? HALF_DIGITS : LABELLED_LINE_BYTES + markOf(line).length;
}

/** A bare line has no place for one. */
function markOf({ keyId, condemnedAtMs }: HalfLine): string {
  return keyId === undefined || condemnedAtMs === undefined ? '' : formatMark(condemnedAtMs);
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

/** Why the value stays as it is. */
export type EditRefusal =
  /** the line to remove stands in a corrupt value: copied aside, it would not be removed at all */
  | { readonly action: 'refuse'; readonly because: 'corrupt'; readonly reason: string }
  /** every line in it is another system's, which would find its value changed */
  | { readonly action: 'refuse'; readonly because: 'foreign' };

/**
 * The value with one more line. What is there stays byte for byte, but that a raw half of ours becomes text.
 * @param current `undefined` when nothing is there
 * @param ownBare halves without a key id that are known to be ours; every other one is foreign
 */
export function appendEdit(
  current: Uint8Array | undefined,
  line: LabelledHalf,
  options: ParseOptions,
  ownBare: readonly KeyHalf[] = [],
): ValueEdit | EditRefusal {
  if (current === undefined) {
    return { action: 'replace', value: formatHalfValue([line]), isCorrupt: false };
  }
  const { placed, flaw } = placeLines(current, options);
  const lines = distinctLines(placed);
  try {
    const there = lines.find((known) => isSameLine(known, line));
    if (there !== undefined && there.condemnedAtMs === undefined) return { action: 'keep' };
    // Who appends a line needs it: a mark on it goes.
    if (there !== undefined)
      return rewritten(placed, (known) => (known === there ? line : known), flaw !== undefined);
    if (isForeignValue(lines, ownBare)) return { action: 'refuse', because: 'foreign' };
    const added = formatHalfValue([line]);
    try {
      const value = joinLines([...keptBytes(current, placed, options), added]);
      return { action: 'replace', value, isCorrupt: flaw !== undefined && !isBlank(current) };
    } finally {
      added.fill(0);
    }
  } finally {
    destroyLines(lines);
  }
}

/** After the name of a place: what was found there, and what to do. */
export const FOREIGN_VALUE =
  'holds a half without a key id, as other systems (Xen Orchestra) write it: it is foreign, and is left as it is; give the half of this server a place of its own in [keystore]';

/** Whether there are lines, and none of them is ours: a label is what we give, and nobody else. */
export function isForeignValue(
  lines: readonly HalfLine[],
  ownBare: readonly KeyHalf[] = [],
): boolean {
  return lines.length > 0 && !lines.some((line) => isOwnLine(line, ownBare));
}

/** Of a source that the server writes: a line with a label, or one that is known. */
function isOwnLine({ keyId, half }: HalfLine, ownBare: readonly KeyHalf[]): boolean {
  return keyId !== undefined || ownBare.some((own) => own.equals(half));
}

/** The value without some lines; the others stay byte for byte. @param current `undefined` when nothing is there */
export function removeEdit(
  current: Uint8Array | undefined,
  removal: LineRemoval,
  options: ParseOptions,
): ValueEdit | EditRefusal {
  if (current === undefined) return { action: 'keep' };
  const { placed, flaw } = placeLines(current, options);
  try {
    const { onlyCondemned = false } = removal;
    const kept = placed.filter(
      ({ line }) =>
        !isToRemove(line, removal) || (onlyCondemned && line.condemnedAtMs === undefined),
    );
    if (kept.length === placed.length) return { action: 'keep' };
    if (flaw !== undefined) return { action: 'refuse', because: 'corrupt', reason: flaw };
    if (kept.length === 0) return { action: 'delete' };
    const value = joinLines(kept.map(({ bytes }) => bytes));
    return { action: 'replace', value, isCorrupt: false };
  } finally {
    destroyLines(distinctLines(placed));
  }
}

/** What becomes of the mark of one key's lines. */
export interface MarkChange extends LineRemoval {
  /** When they are condemned; those that were before stay so from then on. `undefined`: the mark goes. */
  readonly condemnedAtMs: number | undefined;
}

/** The value with the lines of one key condemned, or no longer so. @param current `undefined` when nothing is there */
export function markEdit(
  current: Uint8Array | undefined,
  change: MarkChange,
  options: ParseOptions,
): ValueEdit | EditRefusal {
  if (current === undefined) return { action: 'keep' };
  const { placed, flaw } = placeLines(current, options);
  const lines = distinctLines(placed);
  const { condemnedAtMs, keyId } = change;
  try {
    const concerned = lines.filter(
      (line) => isToRemove(line, change) && isOtherMark(line.condemnedAtMs, condemnedAtMs),
    );
    if (concerned.length === 0) return { action: 'keep' };
    if (flaw !== undefined) return { action: 'refuse', because: 'corrupt', reason: flaw };
    // A bare line has no place for a mark: it gets its label.
    const marked = ({ half }: HalfLine): HalfLine => ({ keyId, half, condemnedAtMs });
    return rewritten(placed, (line) => (concerned.includes(line) ? marked(line) : line), false);
  } finally {
    destroyLines(lines);
  }
}

/** The value with other lines in the place of some; what stays itself stays byte for byte. */
function rewritten(
  placed: readonly PlacedLine[],
  change: (line: HalfLine) => HalfLine,
  isCorrupt: boolean,
): ValueEdit {
  const written = placed.map(({ line }) =>
    change(line) === line ? undefined : formatHalfValue([change(line)]),
  );
  try {
    const value = joinLines(placed.map(({ bytes }, at) => written[at] ?? bytes));
    return { action: 'replace', value, isCorrupt };
  } finally {
    for (const bytes of written) bytes?.fill(0);
  }
}

/** What stays of a value that a line is added to: its whole lines, as they are written. */
function keptBytes(
  current: Uint8Array,
  placed: readonly PlacedLine[],
  options: ParseOptions,
): readonly Uint8Array[] {
  const raw = rawHalf(current, options);
  raw?.destroy();
  if (raw === undefined) return placed.map(({ bytes }) => bytes);
  return [formatHalfValue(distinctLines(placed))];
}

/** The buffer holds secrets: the caller zeroes it. */
function joinLines(lines: readonly Uint8Array[]): Buffer {
  const length = lines.reduce((sum, line) => sum + line.length + 1, -1);
  const out = allocateSecret(length);
  let at = 0;
  for (const [index, line] of lines.entries()) {
    if (index > 0) out[at++] = LINE_FEED;
    out.set(line, at);
    at += line.length;
  }
  return out;
}

/** Nobody's: it may be written over, and needs no copy. */
export function isBlank(value: Uint8Array): boolean {
  return value.every((byte) => byte === LINE_FEED || BLANKS.has(byte));
}

function isToRemove(line: HalfLine, removal: LineRemoval): boolean {
  if (line.keyId !== undefined) return line.keyId === removal.keyId;
  return removal.bareHalf !== undefined && line.half.equals(removal.bareHalf);
}

function isSameLine(one: HalfLine, other: HalfLine): boolean {
  return one.keyId === other.keyId && one.half.equals(other.half);
}

function countBare(placed: readonly PlacedLine[]): number {
  return distinctLines(placed).filter(({ keyId }) => keyId === undefined).length;
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
    yield value.subarray(start, end);
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
  const keyId = labelOf(text);
  if (keyId === undefined) return undefined;
  const digits = text.subarray(KEY_ID_DIGITS + 1, LABELLED_LINE_BYTES);
  const line = digits.length === HALF_DIGITS ? halfLine(keyId, digits) : undefined;
  if (line === undefined || text.length === LABELLED_LINE_BYTES) return line;
  const condemnedAtMs = parseMark(text.subarray(LABELLED_LINE_BYTES));
  if (condemnedAtMs !== undefined) return { ...line, condemnedAtMs };
  line.half.destroy();
  return undefined;
}

/** The key id that a line begins with, whole or not; `undefined` where it does not say. */
function labelOf(text: Uint8Array): KeyId | undefined {
  if (text[KEY_ID_DIGITS] !== COLON) return undefined;
  const keyId = Buffer.from(text.subarray(0, KEY_ID_DIGITS)).toString('latin1');
  return isKeyId(keyId) ? keyId : undefined;
}

/** A line that may be damaged: what it says of itself, and the line where it is whole, whose half the caller destroys. */
export interface TornLine {
  readonly keyId: KeyId | undefined;
  readonly line: HalfLine | undefined;
}

/** Every line that is not empty, whole or not: for copies of corrupt values. */
export function tornLines(value: Uint8Array): readonly TornLine[] {
  return [...textLines(value)]
    .map(trimBlanks)
    .filter((text) => text.length > 0)
    .map((text) => ({ keyId: labelOf(text), line: parseLine(text) }));
}

function halfLine(keyId: HalfLine['keyId'], digits: Uint8Array): HalfLine | undefined {
  const bytes = decodeHex(digits);
  if (bytes === undefined) return undefined;
  const half = halfFromBytes(bytes);
  bytes.fill(0);
  return half === undefined ? undefined : { keyId, half };
}
