/** Checks a record with its place: what an import asks before it takes one, and an export before it gives one. */
import type { CollectionDefinition, CollectionDefinitions } from './collection-definition.js';
import { RecordInvalidError } from '../errors.js';
import { encodeRecord } from './json-record.js';
import type { CredentialRecord } from './json-record.js';
import { checkRecordId } from './record-id.js';

/**
 * Checks one record just as a write does, and changes nothing.
 * @throws {RecordInvalidError} for an unknown collection, a bad id, or a record that does not fit
 */
export function checkRecord(
  definitions: CollectionDefinitions,
  collection: string,
  id: string,
  record: CredentialRecord,
): { readonly definition: CollectionDefinition; readonly json: Buffer } {
  const definition = Object.hasOwn(definitions, collection) ? definitions[collection] : undefined;
  if (definition === undefined) {
    throw new RecordInvalidError(collection, undefined, 'there is no such collection');
  }
  checkRecordId(collection, id);
  return { definition, json: encodeRecord(collection, definition, record) };
}
