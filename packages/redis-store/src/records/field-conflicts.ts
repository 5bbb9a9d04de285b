/** Which fields of a stored record contradict the definition of its collection. */
import type { CollectionDefinition } from './collection-definition.js';
import { isOfType } from './json-record.js';
import type { CredentialRecord } from './json-record.js';

export const FIELD_CONFLICTS = {
  unknown: 'is not in the configuration any more',
  type: 'has another type there',
  required: 'is required there, and they lack it',
} as const;
export type FieldConflictKind = keyof typeof FIELD_CONFLICTS;

export interface FieldConflict {
  readonly field: string;
  readonly kind: FieldConflictKind;
  /** Whether the record would fit without the field. */
  readonly canBeDropped: boolean;
}

/** None where the record could be written as it is. */
export function fieldConflicts(
  { fields }: CollectionDefinition,
  record: CredentialRecord,
): FieldConflict[] {
  const conflicts: FieldConflict[] = [];
  for (const [field, value] of Object.entries(record)) {
    const definition = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (definition === undefined) {
      conflicts.push({ field, kind: 'unknown', canBeDropped: true });
    } else if (value !== undefined && value !== null && !isOfType(definition.type, value)) {
      conflicts.push({ field, kind: 'type', canBeDropped: definition.optional !== false });
    }
  }
  for (const [field, { optional }] of Object.entries(fields)) {
    if (optional === false && (record[field] ?? null) === null) {
      conflicts.push({ field, kind: 'required', canBeDropped: false });
    }
  }
  return conflicts;
}
