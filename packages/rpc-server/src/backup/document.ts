/**
 * The form of a config backup, before compression and encryption:
 *
 * ```
 * {"format":"vault-config-backup","version":1,"createdAt":"2026-11-22T06:05:00.000Z","entries":{
 * "server":[
 * {"id":"…","host":"…", …},
 * …],
 * "user":[ … ]},
 * "leftOut":{"count":1,"records":[{"collection":"server","id":"…","reason":"…"}]}}
 * ```
 *
 * `leftOut` stands there only where records are missing. One valid JSON document with one record a line, so that it is written and read as a stream. Any
 * other spacing is read as well.
 */
import type { BackupRecord } from './port.js';
import type { RefusedRecords } from './refused-records.js';

export const BACKUP_FORMAT = 'vault-config-backup';
export const BACKUP_VERSION = 1;

/** Text is handed on in pieces of about this size. */
const PIECE_CHARACTERS = 64 * 1024;

/**
 * Writes a document as UTF-8 pieces.
 * @param entries collections in the order of the document, each with its records
 * @param leftOut asked once all records are written
 */
export async function* writeDocument(
  createdAt: Date,
  entries: Iterable<readonly [collection: string, records: AsyncIterable<BackupRecord>]>,
  leftOut: Pick<RefusedRecords, 'count' | 'named'>,
): AsyncGenerator<Buffer> {
  const head = { format: BACKUP_FORMAT, version: BACKUP_VERSION, createdAt };
  let text = `${JSON.stringify(head).slice(0, -1)},"entries":{`;
  let separator = '\n';
  for (const [collection, records] of entries) {
    text += `${separator}${JSON.stringify(collection)}:[`;
    separator = '\n';
    // oxlint-disable-next-line no-await-in-loop -- records are written one after the other
    for await (const { id, record } of records) {
      text += `${separator}${JSON.stringify({ id, ...record })}`;
      separator = ',\n';
      if (text.length >= PIECE_CHARACTERS) {
        yield Buffer.from(text);
        text = '';
      }
    }
    text += ']';
    separator = ',\n';
  }
  const { count, named: records } = leftOut;
  const missing = count === 0 ? '' : `,\n"leftOut":${JSON.stringify({ count, records })}`;
  yield Buffer.from(`${text}}${missing}}\n`);
}
