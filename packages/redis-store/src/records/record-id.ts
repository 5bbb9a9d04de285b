/** What may be the id of a new record. One that is stored already is served whatever it is. */
import { RecordInvalidError } from '../errors.js';
import { RESERVED_NAMES } from './reserved-names.js';

const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** @throws {RecordInvalidError} unless it is 1 to 128 characters of `A-Za-z0-9_-`, and no reserved name: clients key objects by id */
export function checkRecordId(collection: string, id: string): void {
  if (!ID.test(id)) throw new RecordInvalidError(collection, 'id', `expected ${ID.source}`);
  if (RESERVED_NAMES.has(id)) {
    const names = [...RESERVED_NAMES].join(', ');
    throw new RecordInvalidError(collection, 'id', `none of ${names} can be an id`);
  }
}
