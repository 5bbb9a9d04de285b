/**
 * What counts of a state that nobody signed. A plaintext seal is anybody's who can write to Redis: the
 * witness, and through it the next signed seal, takes nothing over from it but what this machine knew
 * before, what it changes itself, and what a key signed.
 */
import type { KeyId, KeyRing } from '@vault/crypto';
import { isTombstone } from './seal.js';
import type { SealContent } from './seal.js';
import { isSame, witnessed } from './witness.js';
import type { WitnessContent, WitnessedState } from './witness.js';

/**
 * The state that a seal says, as far as it counts.
 * @param seal authentic where it names a key
 * @param told what the witness says, of whatever database
 */
export function beliefOf(
  seal: SealContent,
  told: WitnessContent | undefined,
  prefix: string,
  ring: KeyRing,
): WitnessedState {
  if (seal.keyId !== null) return witnessed(seal);
  const { databaseId, epoch, retired } = seal;
  const plain = { databaseId, epoch, state: 'plaintext', keyId: null, pinned: false } as const;
  // Our own change, whose end the witness did not see.
  if (told?.next != null && isSame(seal, told.next)) return { ...told.next, ...plain };
  const known = told?.databaseId === databaseId ? told : undefined;
  const isSigned =
    retired !== null &&
    retired.epoch > (known?.epoch ?? 0) &&
    isTombstone(retired, prefix, databaseId, ring);
  // Whoever encrypts it again after it was decrypted on purpose switches it on; where nothing is known,
  // what decrypts nothing by itself is the safe side.
  const decrypted = isSigned ? 'switched-on' : known?.origin;
  return {
    ...plain,
    origin: known === undefined ? 'made-encrypted' : (decrypted ?? known.origin),
    inactiveKeyIds: union(known?.inactiveKeyIds ?? [], isSigned ? retired.keyIds : []),
    pendingKeyId: known?.pendingKeyId ?? null,
  };
}

/**
 * The state after a change of our own.
 * @param belief of the state before
 */
export function beliefAfter(
  belief: WitnessedState,
  before: SealContent,
  next: SealContent,
): WitnessedState {
  // Of a signed seal, or made by us as a whole: see `engine/sealed-from-plaintext.ts`.
  if (before.keyId !== null || next.keyId !== null) return witnessed(next);
  const { inactiveKeyIds = [] } = belief;
  const added = next.inactiveKeyIds.filter((id) => !before.inactiveKeyIds.includes(id));
  const isRemoved = (id: KeyId): boolean =>
    before.inactiveKeyIds.includes(id) && !next.inactiveKeyIds.includes(id);
  const isPendingOurs = next.pendingKeyId !== before.pendingKeyId;
  return {
    ...belief,
    epoch: next.epoch,
    inactiveKeyIds: union(inactiveKeyIds, added).filter((id) => !isRemoved(id)),
    pendingKeyId: isPendingOurs ? next.pendingKeyId : (belief.pendingKeyId ?? null),
  };
}

function union(...lists: readonly (readonly KeyId[])[]): readonly KeyId[] {
  return [...new Set(lists.flat())];
}
