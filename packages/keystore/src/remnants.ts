/** Where a half of a removed key is left. */
import type { KeyId, Remnant } from '@vault/crypto';
import type { ReadHalves } from './diagnosis.js';
import { KeystoreError } from './errors.js';
import { linesOf } from './half-source.js';
import type { HalfLine, HalfSource } from './half-source.js';
import { placeOf } from './inventory.js';
import type { Pair } from './pairing.js';

/** Halves of a key in places that the server cannot write, and that no other key needs. */
export function unwritableRemnants(
  halves: ReadHalves,
  ours: readonly Pair[],
  keyId: KeyId,
): readonly Remnant[] {
  return halves.flatMap(({ half, source, reading }) => {
    if (source.isWritable) return [];
    const lineOf = ({ lineA, lineB }: Pair): HalfLine => (half === 'A' ? lineA : lineB);
    const lines = linesOf(reading).filter((line) => {
      const used = ours.filter((pair) => lineOf(pair) === line).map(({ key }) => key.id);
      return line.keyId === keyId || (used.includes(keyId) && used.length === 1);
    });
    return lines.map((line) => ({ keyId, place: placeOf(source, line), reason: UNWRITABLE }));
  });
}

const UNWRITABLE = 'the server cannot write it: take it away by hand';

/** A copy that cannot be asked or deleted is a remnant: the key is gone from where it is read all the same. */
export async function eraseCopies(source: HalfSource, keyId: KeyId): Promise<readonly Remnant[]> {
  try {
    const kept = (await source.eraseCopies?.(keyId)) ?? [];
    return kept.map(({ place, reason }) => ({ keyId, place: `${source.source} ${place}`, reason }));
  } catch (error) {
    if (!(error instanceof KeystoreError)) throw error;
    return [{ keyId, place: `copies beside ${placeOf(source)}`, reason: error.message }];
  }
}
