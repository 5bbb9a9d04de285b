/** The value that a record, or a query, has in an index: normalised, not yet hashed. */
import { joinNormalised, normaliseValue } from '@vault/crypto';
import { TRANSFORMS } from './collection-definition.js';
import type { IndexDefinition } from './collection-definition.js';
import type { CredentialRecord, JsonValue } from './json-record.js';

/** The normalised value of a record in an index; `undefined` when the record is not in it. */
export function indexedValue(
  definition: IndexDefinition,
  record: CredentialRecord,
): string | Buffer | undefined {
  const parts: string[] = [];
  for (const field of definition.fields) {
    const value = record[field];
    if (value === undefined || value === null) return undefined;
    const part = transformed(definition, value);
    if (part === undefined) return undefined;
    parts.push(normaliseValue(part, definition.normalisation));
  }
  return definition.fields.length === 1 ? parts[0] : joinNormalised(parts);
}

/** The normalised value of a query: as {@link indexedValue}, for values that are transformed already. */
export function queriedValue(
  definition: IndexDefinition,
  values: readonly JsonValue[],
): string | Buffer {
  const parts = values.map((value) => normaliseValue(value, definition.normalisation));
  return definition.fields.length === 1 ? (parts[0] ?? '') : joinNormalised(parts);
}

function transformed(definition: IndexDefinition, value: JsonValue): JsonValue | undefined {
  if (definition.transform === undefined) return value;
  return typeof value === 'string' ? TRANSFORMS[definition.transform](value) : undefined;
}
