/**
 * A record as its caller sees it, and the one validator of records: {@link encodeRecord} says what a
 * write stores, and an import takes and an export gives nothing else.
 */
import { isDeepStrictEqual } from 'node:util';
import { normaliseValue } from '@vault/crypto';
import type { CollectionDefinition, FieldType } from './collection-definition.js';
import { RecordInvalidError } from '../errors.js';
import { RECORD_LIMITS } from './record-limits.js';
import { RESERVED_NAMES } from './reserved-names.js';

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** Fields of a record; the id is not among them. */
export type CredentialRecord = { readonly [field: string]: JsonValue | undefined };

const TYPE_CHECKS: Readonly<Record<FieldType, (value: JsonValue) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  boolean: (value) => typeof value === 'boolean',
  json: () => true,
  secret: () => true,
};

/** Whether a field of the type may hold the value. */
export function isOfType(type: FieldType, value: JsonValue): boolean {
  return TYPE_CHECKS[type](value);
}

/** Lone surrogates: no UTF-8 can write them, and an index could not tell them apart (RFC 7493, section 2.1). */
const NOT_UNICODE = /\p{Surrogate}/u;

/**
 * Checks a record within {@link RECORD_LIMITS} and writes it as UTF-8 JSON; fields that are `undefined`
 * are left out. What it gives, read back and checked again, is the same.
 * @throws {RecordInvalidError} naming collection and field, and no value
 */
export function encodeRecord(
  collection: string,
  definition: CollectionDefinition,
  record: CredentialRecord,
): Buffer {
  const count = { values: 0 };
  for (const [field, value] of Object.entries(record)) {
    if (value === undefined) continue;
    const type = Object.hasOwn(definition.fields, field)
      ? definition.fields[field]?.type
      : undefined;
    if (type === undefined)
      throw new RecordInvalidError(collection, field, 'is not in the definition of the collection');
    if (value !== null && !isOfType(type, value)) {
      throw new RecordInvalidError(
        collection,
        field,
        `expected a ${type}, met ${describeType(value)}`,
      );
    }
    const problem = jsonProblem(value, 0, count);
    if (problem !== undefined) throw new RecordInvalidError(collection, field, problem);
  }
  for (const [field, { optional }] of Object.entries(definition.fields)) {
    if (optional === false && (record[field] === undefined || record[field] === null)) {
      throw new RecordInvalidError(collection, field, 'is required');
    }
  }
  checkCompoundFields(collection, definition, record);
  const json = Buffer.from(JSON.stringify(record));
  if (json.length > RECORD_LIMITS.bytes) {
    throw new RecordInvalidError(
      collection,
      undefined,
      `a record takes at most ${RECORD_LIMITS.bytes} bytes, met ${json.length}`,
    );
  }
  return json;
}

/** Reads JSON of a record. @returns `undefined` when the bytes are no JSON object */
export function decodeRecord(json: Buffer): CredentialRecord | undefined {
  try {
    const value: unknown = JSON.parse(json.toString());
    return isPlainObject(value) ? (value as CredentialRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** Compares two JSON values by content. */
export function isSameJson(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  return isDeepStrictEqual(a, b);
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describeType(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

/** What keeps a value from being stored as JSON and read back the same, or `undefined`. */
function jsonProblem(value: unknown, depth: number, count: { values: number }): string | undefined {
  if (++count.values > RECORD_LIMITS.values) {
    return `makes it more than ${RECORD_LIMITS.values} values`;
  }
  if (value === null || typeof value === 'boolean') return undefined;
  if (typeof value === 'string') return textProblem(value);
  if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : 'holds a number that JSON cannot write';
  if (typeof value !== 'object') return `holds ${describeType(value)}, which JSON cannot write`;
  if (depth === RECORD_LIMITS.depth) return `is nested deeper than ${RECORD_LIMITS.depth}`;
  // By index: a hole in an array has no entry, and JSON would make `null` of it.
  if (Array.isArray(value)) return arrayProblem(value, depth + 1, count);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return 'holds an object that is not plain';
  }
  for (const [name, inner] of Object.entries(value)) {
    if (RESERVED_NAMES.has(name)) return 'holds a field name that is refused';
    const problem = textProblem(name) ?? jsonProblem(inner, depth + 1, count);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function arrayProblem(
  values: readonly unknown[],
  depth: number,
  count: { values: number },
): string | undefined {
  for (const inner of values) {
    const problem = jsonProblem(inner, depth, count);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function textProblem(text: string): string | undefined {
  return NOT_UNICODE.test(text) ? 'holds text that is not Unicode (a lone surrogate)' : undefined;
}

/** What could not be filed under a compound index is no record: it would be found out only when it is written. */
function checkCompoundFields(
  collection: string,
  { indexes }: CollectionDefinition,
  record: CredentialRecord,
): void {
  for (const { fields, normalisation } of Object.values(indexes)) {
    for (const field of fields.length > 1 ? fields : []) {
      const value = record[field] ?? null;
      if (value === null) continue;
      const bytes = Buffer.byteLength(normaliseValue(value, normalisation));
      if (bytes > RECORD_LIMITS.compoundFieldBytes) {
        const most = `a field of a compound index takes at most ${RECORD_LIMITS.compoundFieldBytes}`;
        throw new RecordInvalidError(collection, field, `${most} bytes, met ${bytes}`);
      }
    }
  }
}
