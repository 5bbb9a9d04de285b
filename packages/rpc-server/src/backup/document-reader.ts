/** Reads a config backup document as a stream of records, checking all that it says of itself. */
import { BackupError } from './errors.js';
import { BACKUP_FORMAT, BACKUP_VERSION } from './document.js';
import { JsonSplitError, JsonSplitter } from './json-splitter.js';
import type { SplitValue } from './json-splitter.js';
import { BACKUP_LIMITS } from './limits.js';
import type { BackupRecord } from './port.js';
import { shownName } from './refused-records.js';
import type { RefusedRecord } from './refused-records.js';

/** A record, or what stands in the place of one. Whether a collection takes the record is not known here. */
export type DocumentEntry = BackupRecord | RefusedRecord;

export function isRefused(entry: DocumentEntry): entry is RefusedRecord {
  return 'reason' in entry;
}

/** Names beside `entries`; others are of no version that we know. */
const HEAD_NAMES: ReadonlySet<string> = new Set(['format', 'version', 'createdAt', 'leftOut']);

/** Takes the bytes as they come; what it gave is proven to be of a whole document by {@link end}. */
export class DocumentReader {
  readonly #head = new Map<string, unknown>();
  readonly #collections = new Set<string>();
  readonly #splitter: JsonSplitter;
  #entries: DocumentEntry[] = [];
  #hasEntries = false;
  #position = 0;
  #bytes = 0;
  #records = 0;

  constructor() {
    this.#splitter = new JsonSplitter({
      valueBytesMax: BACKUP_LIMITS.recordTextBytes,
      isOpened: (path, isObject) => this.#isOpened(path, isObject),
      onValue: (value) => this.#take(value),
    });
  }

  /**
   * @returns the records that ended in this piece
   * @throws {BackupError} `BACKUP_UNREADABLE` when it is no config backup, `BACKUP_REFUSED` when it holds more than we take
   */
  push(piece: Uint8Array): readonly DocumentEntry[] {
    this.#bytes += piece.byteLength;
    if (this.#bytes > BACKUP_LIMITS.documentBytes) {
      throw new BackupError('BACKUP_REFUSED', 'too large');
    }
    split(() => this.#splitter.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)));
    const entries = this.#entries;
    this.#entries = [];
    this.#records += entries.length;
    if (this.#records > BACKUP_LIMITS.records) {
      throw new BackupError('BACKUP_REFUSED', `more than ${BACKUP_LIMITS.records} records`);
    }
    return entries;
  }

  /** @throws {BackupError} `BACKUP_UNREADABLE` when the document is not at its end */
  end(): void {
    split(() => this.#splitter.end());
    if (!this.#hasEntries) throw unreadable();
  }

  /** Records that were missing when the backup was made, as it says itself. */
  get leftOut(): number {
    const said = this.#head.get('leftOut');
    const count: unknown = typeof said === 'object' && said !== null && Reflect.get(said, 'count');
    return typeof count === 'number' ? count : 0;
  }

  #isOpened(path: readonly string[], isObject: boolean): boolean {
    const [top, collection] = path;
    if (top === undefined) return isObject;
    if (top !== 'entries' || path.length > 2) return false;
    if (collection === undefined) {
      this.#checkHead();
      return isObject;
    }
    if (isObject || this.#collections.has(collection)) throw unreadable();
    this.#collections.add(collection);
    this.#position = 0;
    return true;
  }

  /** Format and version stand before the entries, so that no record of another format is believed. */
  #checkHead(): void {
    if (this.#hasEntries || this.#head.get('format') !== BACKUP_FORMAT) throw unreadable();
    this.#hasEntries = true;
    if (this.#head.get('version') !== BACKUP_VERSION) {
      throw new BackupError('BACKUP_REFUSED', 'it was written by another version of the format');
    }
  }

  #take({ path, value, isTooLarge }: SplitValue): void {
    const [name, collection, element] = path;
    if (name !== undefined && name !== 'entries') {
      if (!HEAD_NAMES.has(name) || this.#head.has(name) || isTooLarge) throw unreadable();
      this.#head.set(name, value);
      return;
    }
    // A document that is no object, entries that are none, a collection that is no array.
    if (collection === undefined || element === undefined) throw unreadable();
    this.#position += 1;
    this.#entries.push(
      isTooLarge
        ? this.#refused(collection, `takes more than ${BACKUP_LIMITS.recordTextBytes} bytes`)
        : this.#entryOf(collection, value),
    );
  }

  #entryOf(collection: string, value: unknown): DocumentEntry {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.#refused(collection, 'is not a record');
    }
    const { id, ...record } = value as Record<string, unknown>;
    return typeof id === 'string'
      ? { collection, id, record }
      : this.#refused(collection, 'has no id');
  }

  #refused(collection: string, reason: string): RefusedRecord {
    return { collection: shownName(collection), id: `#${this.#position}`, reason };
  }
}

/** All records of a document; it was whole once this has ended. @throws {BackupError} as {@link DocumentReader} */
export async function* readDocument(
  source: AsyncIterable<Uint8Array>,
  reader = new DocumentReader(),
): AsyncGenerator<DocumentEntry> {
  for await (const piece of source) yield* reader.push(piece);
  reader.end();
}

function unreadable(): BackupError {
  return new BackupError('BACKUP_UNREADABLE');
}

function split(work: () => void): void {
  try {
    work();
  } catch (error) {
    throw error instanceof JsonSplitError ? unreadable() : error;
  }
}
