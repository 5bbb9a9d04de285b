/** Reads a config backup document as a stream of records, checking all that it says of itself. */
import { BackupError } from './errors.js';
import { BACKUP_FORMAT, BACKUP_VERSION } from './document.js';
import { JsonSplitError, JsonSplitter } from './json-splitter.js';
import type { SplitValue } from './json-splitter.js';
import { BACKUP_LIMITS } from './limits.js';
import type { BackupRecord } from './port.js';

export interface DocumentReaderOptions {
  /** Collections that may stand in the document. */
  readonly collections: readonly string[];
}

/**
 * @throws {BackupError} `BACKUP_UNREADABLE` when it is no config backup, `BACKUP_REFUSED` when it holds more than we take
 */
export async function* readDocument(
  source: AsyncIterable<Uint8Array>,
  { collections }: DocumentReaderOptions,
): AsyncGenerator<BackupRecord> {
  const known = new Set(collections);
  const head = new Map<string, unknown>();
  let batch: BackupRecord[] = [];
  const splitter = new JsonSplitter({
    valueBytesMax: BACKUP_LIMITS.recordTextBytes,
    isOpened: (path, isObject) => {
      const [top, collection] = path;
      if (top === undefined) return isObject;
      if (top !== 'entries' || path.length > 2) return false;
      if (collection === undefined) {
        checkHead(head);
        return isObject;
      }
      if (!known.has(collection)) {
        throw new BackupError('BACKUP_REFUSED', `unknown collection "${shown(collection)}"`);
      }
      return !isObject;
    },
    onValue: (value) => {
      const record = recordOf(value, head);
      if (record !== undefined) batch.push(record);
    },
  });
  let records = 0;
  let bytes = 0;
  try {
    for await (const piece of source) {
      bytes += piece.byteLength;
      if (bytes > BACKUP_LIMITS.documentBytes) throw new BackupError('BACKUP_REFUSED', 'too large');
      splitter.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
      records += batch.length;
      if (records > BACKUP_LIMITS.records) {
        throw new BackupError('BACKUP_REFUSED', `more than ${BACKUP_LIMITS.records} records`);
      }
      yield* batch;
      batch = [];
    }
    splitter.end();
  } catch (error) {
    if (error instanceof JsonSplitError) throw new BackupError('BACKUP_UNREADABLE');
    throw error;
  }
  if (!head.has('entries')) throw new BackupError('BACKUP_UNREADABLE');
}

/** A record, or `undefined` for a value of the head, which is kept there. */
function recordOf(
  { path, value }: SplitValue,
  head: Map<string, unknown>,
): BackupRecord | undefined {
  const [name, collection, element] = path;
  if (name !== undefined && name !== 'entries') {
    head.set(name, value);
    return undefined;
  }
  // A document that is no object, entries that are none, a collection that is no array.
  if (collection === undefined || element === undefined) throw new BackupError('BACKUP_UNREADABLE');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BackupError('BACKUP_REFUSED', `an entry of "${collection}" is not a record`);
  }
  const { id, ...record } = value as Record<string, unknown>;
  if (typeof id !== 'string') {
    throw new BackupError('BACKUP_REFUSED', `a record of "${collection}" has no id`);
  }
  return { collection, id, record };
}

/** Format and version stand before the entries, so that no record of another format is believed. */
function checkHead(head: Map<string, unknown>): void {
  head.set('entries', true);
  if (head.get('format') !== BACKUP_FORMAT) throw new BackupError('BACKUP_UNREADABLE');
  if (head.get('version') !== BACKUP_VERSION) {
    throw new BackupError('BACKUP_REFUSED', 'it was written by another version of the format');
  }
}

/** A name out of a file, fit for a message. */
function shown(name: string): string {
  return name.slice(0, 40).replaceAll(/[^A-Za-z0-9_.-]/g, '?');
}
