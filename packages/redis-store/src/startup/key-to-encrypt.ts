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
 * @param ownKeyId of a pair that was made for this database before it was opened
 * @throws {DegradedError} `encryptionFailed` when no pair can be written
 */
export async function keyToEncrypt(
  context: MigrationContext,
  ownKeyId: KeyId | undefined,
): Promise<VaultKey> {
  const { keeper } = context;
  const { keyId, inactiveKeyIds, retired } = keeper.content;
  if (keyId !== null) return ringKey(keeper, keyId);
  const { ring, state, supersededIds } = keeper.custodyReport;
  const { inactiveKeyIds: known = [] } = await keeper.belief();
  const used = new Set<KeyId>([
    ...inactiveKeyIds,
    ...known,
    ...(await keeper.notedRemoval()),
    ...(retired?.keyIds ?? []),
    ...supersededIds,
  ]);
  const mayUse = await ownership(keeper, ownKeyId);
  const fresh = ring.ids.findLast((id) => !used.has(id) && mayUse(id));
  const existing = state === 'paired' && fresh !== undefined ? ring.byId(fresh) : undefined;
  if (existing !== undefined) return existing;
  const refusal = await appendRefusal(context);
  const last = ring.ids.findLast(mayUse);
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

/**
 * Whether a key of the halves is ours. A pair of which a half is where nobody else writes is; where
 * others may share the places of both, it may be that of another instance, which goes on using it.
 */
async function ownership(
  keeper: SealKeeper,
  ownKeyId: KeyId | undefined,
): Promise<(id: KeyId) => boolean> {
  const { halves } = keeper.custodyReport;
  if (!halves.every(({ isShared }) => isShared)) return () => true;
  const named = await keeper.namedKeyIds();
  return (id) => id === ownKeyId || named.has(id);
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
