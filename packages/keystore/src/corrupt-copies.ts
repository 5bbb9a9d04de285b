/**
 * Copies of corrupt values, `<place>.corrupt-<n>`: they hold halves like the value that they were
 * copied from, so a key is not gone as long as one of them has its line.
 */
import type { KeyId } from '@vault/crypto';
import { destroyLines } from './half-source.js';
import type { CorruptCopy, HalfLine, KeptCopy } from './half-source.js';
import { tornLines } from './half-value.js';
import type { ValueCopy } from './value-place.js';

const UNREAD = 'it cannot be read';
const UNLABELLED = 'it holds something that names no key';

/** What a copy holds, without any half. Zeroes nothing. */
export function describeCopy({ place, value }: ValueCopy): CorruptCopy {
  if (value === undefined) return { place, keyIds: [], unknown: UNREAD };
  const torn = tornLines(value);
  const keyIds = [...new Set(torn.flatMap(({ keyId }) => (keyId === undefined ? [] : [keyId])))];
  destroyLines(torn.flatMap(({ line }) => (line === undefined ? [] : [line])));
  const isUnlabelled = torn.some(({ keyId }) => keyId === undefined);
  return { place, keyIds: keyIds.toSorted(), ...(isUnlabelled && { unknown: UNLABELLED }) };
}

/**
 * What becomes of a copy when a key was removed.
 * @param standing lines of the value as it is now
 * @returns `erase`, `nothing` for a copy that has no part in it, or why it is left
 */
export function judgeCopy(
  copy: ValueCopy,
  removed: KeyId,
  standing: readonly HalfLine[],
): 'erase' | 'nothing' | KeptCopy {
  const described = describeCopy(copy);
  const { keyIds, unknown } = described;
  const names = keyIds.includes(removed);
  if (unknown !== undefined) {
    const may = names ? 'it holds a half of this key, and' : 'it may hold a half of this key:';
    return { ...described, reason: `${may} ${unknown}` };
  }
  if (!names) return 'nothing';
  const only = onlyIn(copy, removed, standing);
  if (only.length === 0) return 'erase';
  return {
    ...described,
    reason: `it holds a half of this key, and one of key ${only.join(', ')} that stands nowhere else`,
  };
}

/** Keys other than the removed one with a line in the copy that does not stand in the value as well. */
function onlyIn(
  { value }: ValueCopy,
  removed: KeyId,
  standing: readonly HalfLine[],
): readonly KeyId[] {
  const torn = tornLines(value ?? Buffer.alloc(0));
  const only = torn.flatMap(({ keyId, line }) => {
    if (keyId === undefined || keyId === removed) return [];
    const stands = standing.some(
      (known) => known.keyId === keyId && line !== undefined && known.half.equals(line.half),
    );
    return stands ? [] : [keyId];
  });
  destroyLines(torn.flatMap(({ line }) => (line === undefined ? [] : [line])));
  return [...new Set(only)];
}
