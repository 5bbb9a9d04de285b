/** Which keys are ours by the state of the database, and which are in memory only. */
import type { KeyId, KeyRing, VaultKey } from '@vault/crypto';
import { isAuthenticSeal, isTombstone } from './seal.js';
import type { ReadSeal } from './seal.js';
import type { WitnessContent, WitnessedState } from './witness.js';

/** Every key that the witness names, in whatever state it is: a file of ours. */
export function keysOfWitness(told: WitnessContent | undefined): readonly KeyId[] {
  return named([told, told?.next, { inactiveKeyIds: told?.removing }]);
}

/**
 * Every key that a seal names under a MAC: a plaintext one is anybody's, but for what the last key signed.
 * @param ring also keys that are not admitted yet: who made the MAC had the key
 */
export function keysOfSeal(
  seal: ReadSeal | undefined,
  prefix: string,
  ring: KeyRing,
): readonly KeyId[] {
  if (seal === undefined) return [];
  const { content } = seal;
  if (isAuthenticSeal(seal, prefix, ring))
    return named([content, { keyId: content.previousKeyId }]);
  const { keyId, retired, databaseId } = content;
  const isSigned = retired !== null && isTombstone(retired, prefix, databaseId, ring);
  return keyId === null && isSigned ? retired.keyIds : [];
}

type Naming = Partial<Pick<WitnessedState, 'keyId' | 'pendingKeyId' | 'inactiveKeyIds'>>;

function named(states: readonly (Naming | null | undefined)[]): readonly KeyId[] {
  return states
    .flatMap((state) => [state?.keyId, state?.pendingKeyId, ...(state?.inactiveKeyIds ?? [])])
    .filter((id) => id !== null && id !== undefined);
}

/** A ring that has also those of the held keys that were not found any more. */
export function withHeld(ring: KeyRing, held: readonly VaultKey[]): KeyRing {
  const gone = held.filter(({ id }) => ring.byId(id) === undefined);
  if (gone.length === 0) return ring;
  const byId = (id: KeyId): VaultKey | undefined =>
    ring.byId(id) ?? gone.find((key) => key.id === id);
  return { ids: [...gone.map(({ id }) => id), ...ring.ids], byId };
}
