/** Records of a collection, page by page, so that memory stays flat where the answer is streamed. */
import type { JsonObject } from '../protocol.js';
import { ApiError } from './api-error.js';
import type { RecordCollection, StoredRecord } from './database-port.js';

const PAGE_RECORDS = 500;
/** A client that wants more asks page by page, or for a stream. About 64 MiB of records of 300 bytes and their objects. */
const RECORDS_MAX = 200_000;

export interface RecordQuery {
  /** Values that fields must have; an indexed field makes it fast. */
  readonly filter?: JsonObject;
  /** The last id seen. */
  readonly after?: string;
  readonly limit?: number;
}

/**
 * In order of id. Records that cannot be read are left out: `encryption.verify` names them. A filtered
 * query is one page: paging it would ask the index again for each.
 */
export async function* recordPages(
  collection: RecordCollection,
  { filter = {}, after, limit = Infinity }: RecordQuery,
): AsyncGenerator<readonly StoredRecord[]> {
  const from = after === undefined ? {} : { after };
  if (Object.keys(filter).length > 0) {
    yield await collection.find(filter, { ...from, limit });
    return;
  }
  let left = limit;
  let page = await collection.list({ ...from, limit: Math.min(PAGE_RECORDS, left) });
  while (true) {
    yield page.records;
    left -= page.records.length;
    if (page.next === undefined || left <= 0) return;
    const options = { after: page.next, limit: Math.min(PAGE_RECORDS, left) };
    // oxlint-disable-next-line no-await-in-loop -- each page begins where the one before ended
    page = await collection.list(options);
  }
}

/** About the characters of an object as JSON, never more: what is too long is known before it is written. */
function leastLength(object: JsonObject): number {
  let length = 0;
  for (const value of Object.values(object)) {
    if (typeof value === 'string') length += value.length;
    else if (typeof value === 'object') length += JSON.stringify(value).length;
  }
  return length;
}

/**
 * @param shape makes of a record what the answer has of it
 * @param answerBytes longest answer: no more is read than could be in one
 * @throws {ApiError} RESULT_TOO_LARGE when there are more than one answer can hold
 */
export async function collectRecords(
  collection: RecordCollection,
  query: RecordQuery,
  shape: (stored: StoredRecord) => JsonObject,
  answerBytes: number,
): Promise<JsonObject[]> {
  const objects: JsonObject[] = [];
  let length = 0;
  const bounded = { ...query, limit: Math.min(query.limit ?? Infinity, RECORDS_MAX + 1) };
  for await (const page of recordPages(collection, bounded)) {
    for (const stored of page) {
      const object = shape(stored);
      length += leastLength(object);
      objects.push(object);
    }
    if (length > answerBytes) {
      throw new ApiError(
        'RESULT_TOO_LARGE',
        `the records are over ${answerBytes} bytes: ask page by page with limit and after`,
      );
    }
    if (objects.length > RECORDS_MAX) {
      throw new ApiError(
        'RESULT_TOO_LARGE',
        `there are more than ${RECORDS_MAX} records: ask page by page with limit and after`,
      );
    }
  }
  return objects;
}
