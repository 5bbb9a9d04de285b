/** Which key a plaintext database is encrypted under. */
import type { KeyId, VaultKey } from '@vault/crypto';
import { DegradedError } from '../errors.js';
import { messageOf } from '../error-message.js';
import { appendAnnounced, appendRefusal } from '../engine/announce-key.js';
import type { MigrationContext } from '../engine/migration-context.js';
import { MigrationError } from '../migration-error.js';
import type { SealKeeper } from '../state/seal-keeper.js';

/**
 * The key of a migration under way; else a key of the halves that was never retired, nor of a secret that was replaced; else a new pair.
 * @throws {DegradedError} `encryptionFailed` when no pair can be written
 */
export async function keyToEncrypt(context: MigrationContext): Promise<VaultKey> {
  const { keeper } = context;
  const { keyId, inactiveKeyIds, retired } = keeper.content;
  if (keyId !== null) return ringKey(keeper, keyId);
  const { ring, state, supersededIds } = keeper.custodyReport;
  const used = new Set<KeyId>([...inactiveKeyIds, ...(retired?.keyIds ?? []), ...supersededIds]);
  const fresh = ring.ids.findLast((id) => !used.has(id));
  const existing = state === 'paired' && fresh !== undefined ? ring.byId(fresh) : undefined;
  if (existing !== undefined) return existing;
  const refusal = await appendRefusal(context);
  const last = ring.ids.at(-1);
  if (refusal !== undefined && last !== undefined) return ringKey(keeper, last);
  if (refusal !== undefined) throw failed(keeper, refusal);
  try {
    const { id } = await appendAnnounced(context);
    await keeper.reloadKeys();
    return ringKey(keeper, id);
  } catch (error) {
    throw failed(keeper, messageOf(error));
  }
}

/** @throws {MigrationError} when it is not there */
export function ringKey(keeper: SealKeeper, id: KeyId): VaultKey {
  const key = keeper.ring.byId(id);
  if (key === undefined)
    throw new MigrationError(`the key ${id} does not read back from its halves`);
  return key;
}

function failed({ custodyReport }: SealKeeper, cause: string): DegradedError {
  return new DegradedError('encryptionFailed', { cause, diagnosis: custodyReport.diagnosis });
}
