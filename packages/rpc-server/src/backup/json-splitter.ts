/**
 * Splits one JSON document that arrives in pieces into the values that stand at chosen places, so
 * that a document of any size is read with the memory of its largest value.
 *
 * Objects and arrays above the chosen places are followed here, byte by byte; the values themselves
 * are cut out and given to `JSON.parse`, which checks all of their inside.
 */
export interface SplitValue {
  /** Keys of the objects above it, and `[]` for each array. */
  readonly path: readonly string[];
  /** `undefined` where {@link isTooLarge}. */
  readonly value: unknown;
  /** More bytes than allowed: passed over, and not looked into. */
  readonly isTooLarge?: true;
}

export interface SplitterOptions {
  /** Whether the object (or array) at the path is opened here; otherwise it is one value. */
  readonly isOpened: (path: readonly string[], isObject: boolean) => boolean;
  /** Told of each value as soon as it ended. */
  readonly onValue: (value: SplitValue) => void;
  /** Largest value, in bytes. */
  readonly valueBytesMax: number;
}

/** The document is no JSON, or a name is too large. Says nothing of the content. */
export class JsonSplitError extends Error {}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

interface Container {
  readonly isObject: boolean;
  readonly path: readonly string[];
}
/** What may come next: `first-…` after an opening bracket, where the closing one may come too. */
type Expecting = 'value' | 'first-value' | 'key' | 'first-key' | 'colon' | 'comma' | 'nothing';
/** A value being cut out: until its bracket closes, its quote, or (a number or word) a delimiter. */
interface Cut {
  readonly isKey: boolean;
  readonly kind: 'string' | 'nested' | 'word';
  readonly pieces: Buffer[];
  bytes: number;
  depth: number;
  isInString: boolean;
  isEscaped: boolean;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

export class JsonSplitter {
  readonly #options: SplitterOptions;
  readonly #open: Container[] = [];
  #expecting: Expecting = 'value';
  #key = '';
  #cut: Cut | undefined;

  constructor(options: SplitterOptions) {
    this.#options = options;
  }

  /** Takes the next piece. @throws {JsonSplitError} */
  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) {
      at = this.#cut === undefined ? this.#step(piece, at) : this.#cutFrom(this.#cut, piece, at);
    }
  }

  /** @throws {JsonSplitError} when the document is not at its end */
  end(): void {
    // A number or word at the very top has no delimiter.
    if (this.#cut?.kind === 'word') this.#finish(this.#cut);
    if (this.#expecting !== 'nothing') throw new JsonSplitError('the document is cut short');
  }

  /** One byte outside of a value that is cut out. @returns where to go on */
  #step(piece: Buffer, at: number): number {
    const byte = piece[at] ?? 0;
    if (isSpace(byte)) return at + 1;
    switch (this.#expecting) {
      case 'colon':
        this.#take(byte, COLON);
        this.#expecting = 'value';
        return at + 1;
      case 'comma':
        if (byte === COMMA)
          this.#expecting = this.#open.at(-1)?.isObject === true ? 'key' : 'value';
        else this.#close(byte);
        return at + 1;
      case 'first-key':
      case 'key':
        if (byte === CLOSE_BRACE && this.#expecting === 'first-key') this.#close(byte);
        else {
          this.#take(byte, QUOTE);
          this.#cut = newCut(byte, true);
          return at;
        }
        return at + 1;
      case 'first-value':
        if (byte !== CLOSE_BRACKET) return this.#beginValue(byte, at);
        this.#close(byte);
        return at + 1;
      case 'value':
        return this.#beginValue(byte, at);
      case 'nothing':
        break;
    }
    throw new JsonSplitError('something follows the document');
  }

  #beginValue(byte: number, at: number): number {
    const path = this.#pathOfValue();
    const isObject = byte === OPEN_BRACE;
    if ((isObject || byte === OPEN_BRACKET) && this.#options.isOpened(path, isObject)) {
      this.#open.push({ isObject, path });
      this.#expecting = isObject ? 'first-key' : 'first-value';
      return at + 1;
    }
    this.#cut = newCut(byte, false);
    return at;
  }

  #pathOfValue(): readonly string[] {
    const container = this.#open.at(-1);
    if (container === undefined) return [];
    return [...container.path, container.isObject ? this.#key : '[]'];
  }

  #take(byte: number, expected: number): void {
    if (byte !== expected) throw new JsonSplitError('the document is not JSON');
  }

  #close(byte: number): void {
    const container = this.#open.pop();
    this.#take(byte, container?.isObject === true ? CLOSE_BRACE : CLOSE_BRACKET);
    this.#expecting = this.#open.length === 0 ? 'nothing' : 'comma';
  }

  /** Goes on cutting a value. @returns where to go on */
  #cutFrom(cut: Cut, piece: Buffer, from: number): number {
    const end = findEnd(cut, piece, from);
    const part = piece.subarray(from, end ?? piece.length);
    cut.bytes += part.length;
    if (cut.bytes <= this.#options.valueBytesMax) cut.pieces.push(part);
    else if (cut.isKey) throw new JsonSplitError('a name is too large');
    else cut.pieces.length = 0;
    if (end === undefined) return piece.length;
    this.#finish(cut);
    return end;
  }

  #finish(cut: Cut): void {
    this.#cut = undefined;
    const isTooLarge = cut.bytes > this.#options.valueBytesMax;
    const value = isTooLarge ? undefined : parse(cut.pieces);
    if (cut.isKey) {
      this.#key = String(value);
      this.#expecting = 'colon';
      return;
    }
    this.#expecting = this.#open.length === 0 ? 'nothing' : 'comma';
    const path = this.#pathOfValue();
    this.#options.onValue(isTooLarge ? { path, value, isTooLarge } : { path, value });
  }
}

function newCut(byte: number, isKey: boolean): Cut {
  const isNested = byte === OPEN_BRACE || byte === OPEN_BRACKET;
  const kind = byte === QUOTE ? 'string' : isNested ? 'nested' : 'word';
  return { isKey, kind, pieces: [], bytes: 0, depth: 0, isInString: false, isEscaped: false };
}

/** @returns the first position that is not of the value any more; `undefined` when the piece ends before */
function findEnd(cut: Cut, piece: Buffer, from: number): number | undefined {
  for (let at = from; at < piece.length; at++) {
    const byte = piece[at] ?? 0;
    if (cut.isInString) {
      if (cut.isEscaped) cut.isEscaped = false;
      else if (byte === BACKSLASH) cut.isEscaped = true;
      else if (byte === QUOTE) {
        cut.isInString = false;
        if (cut.depth === 0) return at + 1;
      }
    } else if (byte === QUOTE) {
      // A word with a quote in it is no JSON: it is cut together, and JSON.parse says so.
      cut.isInString = true;
    } else if (cut.kind === 'nested') {
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) cut.depth++;
      else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --cut.depth === 0) return at + 1;
    } else if (
      isSpace(byte) ||
      byte === COMMA ||
      byte === COLON ||
      byte === CLOSE_BRACE ||
      byte === CLOSE_BRACKET
    ) {
      return at;
    }
  }
  return undefined;
}

function parse(pieces: readonly Buffer[]): unknown {
  const [only] = pieces;
  const bytes = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  try {
    // The parser's own message quotes the text around the fault: it is not kept.
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new JsonSplitError('the document is not JSON');
  }
}
