/** Everything on its way out, opened, in bounded memory. */
import { LIST_LIMIT_MAX } from './collection.js';
import type { Collection, Page } from './collection.js';
import type { RecordUnreadableError } from '../errors.js';
import type { CredentialRecord } from '../records/json-record.js';

/** A record on its way out. */
export interface ExportedRecord {
  readonly collection: string;
  readonly id: string;
  readonly record: CredentialRecord;
}

/**
 * All records of the collections, by collection and id; a rotation meanwhile is no obstacle.
 * @throws {RecordUnreadableError} at the first record that cannot be read, unless `onUnreadable` takes them
 */
export async function* exportRecords(
  collections: readonly Collection[],
  onUnreadable?: (error: RecordUnreadableError) => void,
): AsyncGenerator<ExportedRecord> {
  for (const collection of collections) {
    let after: string | undefined = '';
    while (after !== undefined) {
      // oxlint-disable-next-line no-await-in-loop -- pages follow each other
      const page: Page = await collection.list({ after, limit: LIST_LIMIT_MAX });
      for (const error of page.unreadable) {
        if (onUnreadable === undefined) throw error;
        onUnreadable(error);
      }
      for (const { id, record } of page.records) yield { collection: collection.name, id, record };
      after = page.next;
    }
  }
}
