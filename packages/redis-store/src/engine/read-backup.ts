/** Reads a backup as `backup.ts` writes it. Anybody may have changed the file since: all of it is looked at. */
import { RecordUnreadableError } from '../errors.js';
import { decodeRecord } from '../records/json-record.js';
import type { CredentialRecord } from '../records/json-record.js';
import type { RecordCodec } from '../records/record-codec.js';
import type { SealedMigration } from '../state/seal.js';
import type { KeyRing } from '@vault/crypto';
import { BACKUP_FORMAT, BACKUP_VERSION } from './backup.js';
import { MigrationError } from '../migration-error.js';

/** What its first line says. */
export interface BackupHead {
  /** The form of the records when the backup was made. */
  readonly of: SealedMigration['from'];
}

/** One record as it was stored: an envelope, or the JSON of a plaintext one. */
export interface BackedUpRecord {
  readonly collection: string;
  readonly id: string;
  readonly stored: Buffer;
}

/** Head first, then the records in the order of the file. */
export interface MigrationBackup {
  readonly head: BackupHead;
  readonly records: AsyncGenerator<BackedUpRecord>;
}

const END = ']}';
const LINE_FEED = 0x0a;
/** An envelope of 1 MiB in base64, with its padding and index entries. */
const LINE_MAX_BYTES = 4 * 1024 * 1024;
const FORMS: readonly unknown[] = ['plaintext', 'encrypted', 'either'] satisfies BackupHead['of'][];

/**
 * Begins to read. What is given out is believable only once the last record was: a cut file ends with an error.
 * @param bytes of the JSON document: what protects it is taken off already
 * @throws {MigrationError} when it is no such backup, or not a whole one
 */
export async function readMigrationBackup(
  bytes: AsyncIterable<Uint8Array>,
): Promise<MigrationBackup> {
  const lines = linesOf(bytes);
  const first = await lines.next();
  const head = first.done === true ? undefined : objectIn(`${first.value}${END}`);
  if (head === undefined || head['format'] !== BACKUP_FORMAT) {
    await lines.return(undefined);
    throw new MigrationError(
      head?.['format'] === undefined
        ? 'the file is no backup of a migration'
        : 'the file is another kind of backup: import a config backup with system.importConfig, put an archive back with vault-server restore-archive',
    );
  }
  if (head['version'] !== BACKUP_VERSION || !FORMS.includes(head['of'])) {
    await lines.return(undefined);
    throw new MigrationError('the backup was written by another version of the format');
  }
  return { head: { of: head['of'] as BackupHead['of'] }, records: recordsOf(lines) };
}

async function* recordsOf(lines: AsyncGenerator<string>): AsyncGenerator<BackedUpRecord> {
  let isWhole = false;
  for await (const line of lines) {
    if (line === '') continue;
    if (isWhole) throw new MigrationError('something stands behind the end of the backup');
    isWhole = line === END;
    if (!isWhole) yield recordIn(line.endsWith(',') ? line.slice(0, -1) : line);
  }
  if (!isWhole) throw new MigrationError('the backup is cut: its end is missing');
}

function recordIn(line: string): BackedUpRecord {
  const { collection, id, record, stored } = objectIn(line) ?? {};
  if (typeof collection === 'string' && typeof id === 'string') {
    if (typeof stored === 'string')
      return { collection, id, stored: Buffer.from(stored, 'base64') };
    if (typeof record === 'object' && record !== null) {
      return { collection, id, stored: Buffer.from(JSON.stringify(record)) };
    }
  }
  throw new MigrationError(
    'a line of the backup is no record: it has one record a line, as the server wrote it',
  );
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const piece of bytes) {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    let from = 0;
    for (let at = buffer.indexOf(LINE_FEED); at >= 0; at = buffer.indexOf(LINE_FEED, from)) {
      yield Buffer.concat([...parts, buffer.subarray(from, at)]).toString();
      parts = [];
      length = 0;
      from = at + 1;
    }
    length += buffer.length - from;
    if (length > LINE_MAX_BYTES) {
      throw new MigrationError('a line of the file is longer than any record is');
    }
    // A copy: whoever gives the pieces may use their memory again.
    if (from < buffer.length) parts.push(Buffer.from(buffer.subarray(from)));
  }
  if (length > 0) yield Buffer.concat(parts).toString();
}

/**
 * The content of a stored record, in whichever form it is.
 * @throws {RecordUnreadableError} where a key is missing, or the bytes are not what was written
 */
export function openBackedUp(
  codec: RecordCodec,
  ring: KeyRing,
  { id, stored }: Pick<BackedUpRecord, 'id' | 'stored'>,
): CredentialRecord {
  const rules = {
    mayBePlaintext: true,
    mayBeEnvelope: true,
    byId: (keyId: Parameters<KeyRing['byId']>[0]) => ring.byId(keyId),
  };
  const record = decodeRecord(codec.open(rules, id, stored));
  if (record === undefined) throw new RecordUnreadableError(codec.collection, id, 'not-json');
  return record;
}
