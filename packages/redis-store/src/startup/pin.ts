/** A pin in the seal: to decrypt the database takes a confirmation beside the setting. */
import type { VaultKey } from '@vault/crypto';
import { OperationRefusedError } from '../errors.js';
import type { MigrationLock } from '../state/lock.js';
import type { SealContent } from '../state/seal.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import { writeConfirmation } from './decrypt-confirmation.js';

/** @throws {OperationRefusedError} when the database is not encrypted, or something is under way */
export async function setPin(
  keeper: SealKeeper,
  lock: MigrationLock,
  isPinned: boolean,
): Promise<void> {
  checkAtRest(keeper.content);
  if (keeper.content.pinned !== isPinned) await keeper.change(lock, { pinned: isPinned });
}

/** @throws {OperationRefusedError} when the database is not pinned, or something is under way */
export async function confirmDecryption(
  dataDir: string,
  prefix: string,
  keeper: SealKeeper,
): Promise<void> {
  const { content } = keeper;
  checkAtRest(content);
  const key: VaultKey | undefined = keeper.current().signingKey;
  if (!content.pinned || key === undefined) {
    throw new OperationRefusedError('the database is not pinned: there is nothing to confirm');
  }
  await writeConfirmation(dataDir, prefix, content, key);
}

function checkAtRest({ state }: SealContent): void {
  if (state === 'encrypted') return;
  throw new OperationRefusedError(
    state === 'plaintext'
      ? 'the database is plaintext: switch encryption on first'
      : `the database is ${state}: wait until that has ended`,
  );
}
