/**
 * Who may not reveal a secret must not have it sent to a place of their own choice, either: a change
 * of host, port, URL, address, proxy or certificate check takes all secrets of the record with it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { CollectionDefinition } from '@vault/redis-store';
import { ApiError } from '../rpc/api-error.js';
import type { RecordFields } from '../rpc/database-port.js';

/**
 * @param changes as they will be stored: a secret that is left as it is, is not among them
 * @throws {ApiError} FORBIDDEN_OPERATION with the fields to send
 */
export function assertSecretsComeAlong(
  operation: string,
  { fields }: CollectionDefinition,
  stored: RecordFields,
  changes: RecordFields,
): void {
  const moved = Object.entries(changes).filter(([name, value]) => {
    const field = fields[name];
    if (field?.destination !== true) return false;
    // Not compared where it is secret: the answer would say whether a guess is right.
    return field.type === 'secret' || !isDeepStrictEqual(value, stored[name]);
  });
  if (moved.length === 0) return;
  const missing = Object.keys(fields).filter(
    (name) =>
      fields[name]?.type === 'secret' &&
      (stored[name] ?? null) !== null &&
      !Object.hasOwn(changes, name),
  );
  if (missing.length === 0) return;
  const where = moved.map(([name]) => name).join(', ');
  const reason = `${where} says where the secrets of the record are sent: send ${missing.join(', ')} again with it, or let somebody change it who may reveal`;
  throw new ApiError('FORBIDDEN_OPERATION', `forbidden operation: ${operation}: ${reason}`, {
    operation,
    reason,
    fields: missing,
  });
}
