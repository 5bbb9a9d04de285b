/** Which lines of half A belong to which lines of half B. */
import { VaultKey } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import type { HalfLine } from './half-source.js';

/** A whole key, and the two lines that gave it. */
export interface Pair {
  readonly key: VaultKey;
  readonly lineA: HalfLine;
  readonly lineB: HalfLine;
  /** Whether both lines are ours by what they are, or where they stand; else only the state of the database can say it. */
  readonly isOwn: boolean;
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

/** The lines of one half. */
export interface PairedSide {
  readonly lines: readonly HalfLine[];
  /** Whether the server writes there: then a bare line is not ours by itself. */
  readonly isWritable: boolean;
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
 * was made with it, and a half that an operator put back without its label is found again. Where the
 * same key is given twice, by lines that are ours and by a bare one, ours count.
 *
 * @param ageBy the half whose order of lines says which key is older
 */
export function pairHalves(a: PairedSide, b: PairedSide, ageBy: 'A' | 'B'): Pairing {
  const pairs = new Map<KeyId, Pair>();
  const candidates =
    ageBy === 'A'
      ? a.lines.flatMap((lineA) => b.lines.map((lineB) => ({ lineA, lineB })))
      : b.lines.flatMap((lineB) => a.lines.map((lineA) => ({ lineA, lineB })));
  const suspects = new Set<KeyId>();
  for (const { lineA, lineB } of candidates) {
    if (lineA.keyId !== undefined && lineB.keyId !== undefined && lineA.keyId !== lineB.keyId) {
      continue;
    }
    const expected = lineA.keyId ?? lineB.keyId;
    const key = VaultKey.derive(lineA.half, lineB.half);
    const isOwn = isOwnLine(lineA, a) && isOwnLine(lineB, b);
    const known = pairs.get(key.id);
    const isPair = expected === undefined || key.id === expected;
    if (isPair && (known === undefined || (isOwn && !known.isOwn))) {
      known?.key.destroy();
      // A key that is known keeps its place in the order.
      pairs.set(key.id, { key, lineA, lineB, isOwn });
      continue;
    }
    key.destroy();
    if (lineA.keyId !== undefined && lineB.keyId !== undefined) suspects.add(lineA.keyId);
  }
  const misfits = [...suspects].filter((id) => !pairs.has(id)).map((keyId) => ({ keyId }));
  return { pairs: [...pairs.values()], misfits };
}

/** Nobody else writes labels, and what is read-only by configuration was put there for us. */
export function isOwnLine(
  { keyId }: HalfLine,
  { isWritable }: Pick<PairedSide, 'isWritable'>,
): boolean {
  return keyId !== undefined || !isWritable;
}
