/** Which keys are ours by the state of the database, and which are in memory only. */
import type { KeyId, VaultKey } from '@vault/crypto';
import type { KeyRing } from '../keys/custody.js';
import type { SealContent } from './seal.js';
import type { WitnessContent } from './witness.js';

/** Every key that seal or witness name, in whatever state it is. */
export function namedIn(
  seal: SealContent | undefined,
  witness: WitnessContent | 'malformed' | undefined,
): ReadonlySet<KeyId> {
  const told = typeof witness === 'object' ? witness : undefined;
  const known = [told, told?.next, seal];
  const ids = [
    ...known.flatMap((state) => [state?.keyId, state?.pendingKeyId]),
    ...known.flatMap((state) => state?.inactiveKeyIds ?? []),
    ...(told?.removing ?? []),
    seal?.previousKeyId,
    ...(seal?.retired?.keyIds ?? []),
  ];
  return new Set(ids.filter((id) => id !== null && id !== undefined));
}

/** A ring that has also those of the held keys that were not found any more. */
export function withHeld(ring: KeyRing, held: readonly VaultKey[]): KeyRing {
  const gone = held.filter(({ id }) => ring.byId(id) === undefined);
  if (gone.length === 0) return ring;
  const byId = (id: KeyId): VaultKey | undefined =>
    ring.byId(id) ?? gone.find((key) => key.id === id);
  return { ids: [...gone.map(({ id }) => id), ...ring.ids], byId };
}
