/** An export is read again while it is made, by the reader that an import uses: nothing is given that would not come back. */
import { DocumentReader } from './document-reader.js';
import { BackupError, refusedError } from './errors.js';
import type { RecordTarget } from './port.js';
import { refusalOf } from './read-backup.js';
import { RefusedRecords } from './refused-records.js';

/**
 * Passes a document on. Its last piece comes only once all of it was read and found right, so that a
 * document with a fault in it is never whole.
 * @param expected records that should be in it, asked at its end
 * @throws {BackupError} `BACKUP_INCOMPLETE`, naming the records that an import would not take
 */
export async function* checkedDocument(
  document: AsyncIterable<Uint8Array>,
  target: RecordTarget,
  expected: () => number,
): AsyncGenerator<Uint8Array> {
  const reader = new DocumentReader();
  const refused = new RefusedRecords();
  let records = 0;
  let last: Uint8Array | undefined;
  for await (const piece of document) {
    if (last !== undefined) yield last;
    last = piece;
    for (const entry of reader.push(piece)) {
      // oxlint-disable-next-line no-await-in-loop -- in order; the check is no I/O
      const refusal = await refusalOf(entry, target);
      if (refusal !== undefined) refused.add(refusal);
      records += 1;
    }
    if (refused.count > 0) throw refusedError('BACKUP_INCOMPLETE', refused);
  }
  reader.end();
  if (records !== expected()) {
    throw new BackupError('BACKUP_INCOMPLETE', `${records} of ${expected()} records were written`);
  }
  if (last !== undefined) yield last;
}
