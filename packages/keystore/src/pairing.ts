/** Which lines of half A belong to which lines of half B. */
import { VaultKey } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import type { HalfLine } from './half-source.js';

/** A whole key, and the two lines that gave it. */
export interface Pair {
  readonly key: VaultKey;
  readonly lineA: HalfLine;
  readonly lineB: HalfLine;
}

/** Both halves have a line of this id, and together they give another one. */
export interface Misfit {
  readonly keyId: KeyId;
}

export interface Pairing {
  /** One a key id, oldest first. */
  readonly pairs: readonly Pair[];
  readonly misfits: readonly Misfit[];
}

/**
 * Two lines are a pair when
 *
 * | A | B | condition |
 * |---|---|---|
 * | labelled | labelled | same label, and the halves give that id |
 * | bare | labelled, or the other way round | the halves give the id of the label |
 * | bare | bare | always: there is nothing to check it by; the seal says whether the key is the right one |
 *
 * So the one secret of a source that cannot be written pairs with every line of the other half that
 * was made with it, and a half that an operator put back without its label is found again.
 *
 * @param ageBy the half whose order of lines says which key is older
 */
export function pairHalves(
  linesA: readonly HalfLine[],
  linesB: readonly HalfLine[],
  ageBy: 'A' | 'B',
): Pairing {
  const pairs: Pair[] = [];
  const seen = new Set<KeyId>();
  const candidates =
    ageBy === 'A'
      ? linesA.flatMap((lineA) => linesB.map((lineB) => ({ lineA, lineB })))
      : linesB.flatMap((lineB) => linesA.map((lineA) => ({ lineA, lineB })));
  const suspects = new Set<KeyId>();
  for (const { lineA, lineB } of candidates) {
    if (lineA.keyId !== undefined && lineB.keyId !== undefined && lineA.keyId !== lineB.keyId) {
      continue;
    }
    const expected = lineA.keyId ?? lineB.keyId;
    const key = VaultKey.derive(lineA.half, lineB.half);
    if ((expected === undefined || key.id === expected) && !seen.has(key.id)) {
      seen.add(key.id);
      pairs.push({ key, lineA, lineB });
      continue;
    }
    key.destroy();
    if (lineA.keyId !== undefined && lineB.keyId !== undefined) suspects.add(lineA.keyId);
  }
  const misfits = [...suspects].filter((id) => !seen.has(id)).map((keyId) => ({ keyId }));
  return { pairs, misfits };
}
