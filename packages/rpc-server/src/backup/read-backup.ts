/** The one reading of a backup file: an import, its dry run, the check before a recovery and the proof of an export all go through it. */
import { RecordInvalidError } from '@vault/redis-store';
import { openContainer } from './container.js';
import { DocumentReader, isRefused, readDocument } from './document-reader.js';
import type { DocumentEntry } from './document-reader.js';
import { refusedError } from './errors.js';
import type { BackupError } from './errors.js';
import type { ImportProtection } from './import-protection.js';
import type { BackupRecord, ImportParams, RecordTarget } from './port.js';
import { RefusedRecords, shownName } from './refused-records.js';
import type { RefusedRecord } from './refused-records.js';

/** A bearer token outlives the person who made a backup; who restores one signs in again. */
export const NEVER_IN_BACKUP: ReadonlySet<string> = new Set(['token']);

export interface ReadBackup {
  /** Records that the target took. */
  readonly records: number;
  readonly refused: RefusedRecords;
  /** Records that were missing when the backup was made, as the file says. */
  readonly missingInBackup: number;
}

/**
 * Reads a file to its end and gives each record to the target. A record that the target does not take
 * is noted, and the rest is read all the same; a file that cannot be read is an error.
 * @throws {BackupError}
 */
export async function readBackup(
  source: AsyncIterable<Uint8Array>,
  protection: ImportProtection,
  target: RecordTarget,
): Promise<ReadBackup> {
  const reader = new DocumentReader();
  const refused = new RefusedRecords();
  let records = 0;
  for await (const entry of readDocument(openContainer(source, protection), reader)) {
    const refusal = await refusalOf(entry, target);
    if (refusal === undefined) records += 1;
    else refused.add(refusal);
  }
  return { records, refused, missingInBackup: reader.leftOut };
}

/** What keeps an import with refused records from being done, unless it was told to leave them out. */
export function refusalOfRecords(
  refused: RefusedRecords,
  { skipInvalid = false }: ImportParams,
): BackupError | undefined {
  if (refused.count === 0 || skipInvalid) return undefined;
  return refusedError('BACKUP_RECORDS_REFUSED', refused);
}

/** Gives a record to the target. @returns why it did not take it */
export async function refusalOf(
  entry: DocumentEntry,
  target: RecordTarget,
): Promise<RefusedRecord | undefined> {
  if (isRefused(entry)) return entry;
  if (NEVER_IN_BACKUP.has(entry.collection)) return refusedRecord(entry, 'is never in a backup');
  try {
    await target.add(entry);
    return undefined;
  } catch (error) {
    if (!(error instanceof RecordInvalidError)) throw error;
    return refusedRecord(entry, reasonOf(error));
  }
}

/** Names out of a file, fit to be shown. */
function refusedRecord({ collection, id }: BackupRecord, reason: string): RefusedRecord {
  return { collection: shownName(collection), id: shownName(id), reason };
}

function reasonOf({ field, problem }: RecordInvalidError): string {
  return field === undefined ? problem : `field "${shownName(field)}" ${problem}`;
}
