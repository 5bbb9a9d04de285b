/** A record as its caller sees it, checked against the definition of its collection. */
import { isDeepStrictEqual } from 'node:util';
import type { CollectionDefinition, FieldType } from './collection-definition.js';
import { RecordInvalidError } from './errors.js';
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

/** A record is written in one script call, which Redis does nothing beside. */
export const RECORD_MAX_BYTES = 1024 * 1024;
/** Deeper values are refused: no credential is so nested, and a parser that recurses would suffer. */
export const JSON_MAX_DEPTH = 32;

const TYPE_CHECKS: Readonly<Record<FieldType, (value: JsonValue) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  boolean: (value) => typeof value === 'boolean',
  json: () => true,
  secret: () => true,
};

/**
 * Checks a record and writes it as UTF-8 JSON; fields that are `undefined` are left out.
 * @throws {RecordInvalidError} naming collection and field, and no value
 */
export function encodeRecord(
  collection: string,
  definition: CollectionDefinition,
  record: CredentialRecord,
): Buffer {
  for (const [field, value] of Object.entries(record)) {
    if (value === undefined) continue;
    const type = Object.hasOwn(definition.fields, field)
      ? definition.fields[field]?.type
      : undefined;
    if (type === undefined)
      throw new RecordInvalidError(collection, field, 'is not in the definition of the collection');
    if (value !== null && !TYPE_CHECKS[type](value)) {
      throw new RecordInvalidError(
        collection,
        field,
        `expected a ${type}, met ${describeType(value)}`,
      );
    }
    const problem = jsonProblem(value, 0);
    if (problem !== undefined) throw new RecordInvalidError(collection, field, problem);
  }
  for (const [field, { optional }] of Object.entries(definition.fields)) {
    if (optional === false && (record[field] === undefined || record[field] === null)) {
      throw new RecordInvalidError(collection, field, 'is required');
    }
  }
  const json = Buffer.from(JSON.stringify(record));
  if (json.length > RECORD_MAX_BYTES) {
    throw new RecordInvalidError(
      collection,
      undefined,
      `a record takes at most ${RECORD_MAX_BYTES} bytes, met ${json.length}`,
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
function jsonProblem(value: unknown, depth: number): string | undefined {
  if (depth > JSON_MAX_DEPTH) return `is nested deeper than ${JSON_MAX_DEPTH}`;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined;
  if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : 'holds a number that JSON cannot write';
  if (typeof value !== 'object') return `holds ${describeType(value)}, which JSON cannot write`;
  const isArray = Array.isArray(value);
  if (
    !isArray &&
    Object.getPrototypeOf(value) !== Object.prototype &&
    Object.getPrototypeOf(value) !== null
  ) {
    return 'holds an object that is not plain';
  }
  for (const [name, inner] of Object.entries(value)) {
    if (!isArray && RESERVED_NAMES.has(name)) return 'holds a field name that is refused';
    const problem = jsonProblem(inner, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
