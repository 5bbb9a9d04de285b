/** A new pair of halves, whose key the state names before the first line of it is written. */
import type { KeyId, VaultKey } from '@vault/crypto';
import type { MigrationContext } from './migration-context.js';

/**
 * Appends a new pair. Its id is pending in the seal from before its first line on: no crash leaves a
 * line that nobody knows, and that could only be taken for somebody else's.
 * @throws what the custody throws; the id may stay pending
 */
export async function appendAnnounced(context: MigrationContext): Promise<VaultKey> {
  const { keeper, lock, custody } = context;
  const namedKeyIds = await keeper.namedKeyIds();
  return custody.append({
    namedKeyIds,
    announce: async (pendingKeyId) => {
      const inactiveKeyIds = await withAbandoned(context);
      await keeper.change(lock, { pendingKeyId, inactiveKeyIds });
      await context.step('key-announced');
      // No fence keeps a process that slept past its lock from writing lines.
      await lock.assertHeld();
    },
  });
}

/** Why no new pair can be appended, or `undefined`. */
export async function appendRefusal({
  keeper,
  custody,
}: MigrationContext): Promise<string | undefined> {
  return custody.appendRefusal({ namedKeyIds: await keeper.namedKeyIds() });
}

/** A pending key that is given up is inactive where a line of it may stand. */
async function withAbandoned({ keeper }: MigrationContext): Promise<readonly KeyId[]> {
  const { inactiveKeyIds } = keeper.content;
  const { pendingKeyId = null } = await keeper.belief();
  if (pendingKeyId === null || inactiveKeyIds.includes(pendingKeyId)) return inactiveKeyIds;
  const mayStand = keeper.custodyReport.halves.some(
    ({ status, keyIds }) => status === 'unreadable' || keyIds.includes(pendingKeyId),
  );
  return mayStand ? [...inactiveKeyIds, pendingKeyId] : inactiveKeyIds;
}
