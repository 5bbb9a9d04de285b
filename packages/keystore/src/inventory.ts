/**
 * Every place where key material lies. Status lists them, deleting a key reaches them or says that it
 * cannot, and README.md has the table of their kinds.
 */
import type { KeyId, KeyPlace } from '@vault/crypto';
import type { ReadHalf } from './diagnosis.js';
import { KeystoreError } from './errors.js';
import { linesOf } from './half-source.js';
import type { CorruptCopy, HalfLine, HalfSource } from './half-source.js';
import type { Pair } from './pairing.js';

/** What lies there, and what deleting the key does with it. */
export const KEY_PLACE_KINDS = {
  line: 'a line of a key in a place that the server writes: removed; at once where the place is only ours, condemned first where others may share it',
  condemned:
    'a line that is to be removed: it opens as before until a second call after `deletionGrace`',
  readOnly:
    'a secret that the server reads and cannot write (a variable, a credential, a salt): named as not erased, to be taken away by hand',
  previous:
    'an earlier secret, in the variable `…_PREVIOUS`: named as not erased, to be taken away by hand',
  foreign: 'a half without a key id, where the server writes: never touched',
  corruptCopy:
    'a corrupt value that was put aside, `….corrupt-1`: deleted where all its keys are gone or stand in the value, else named as not erased',
  unreadable: 'a place that cannot be asked: nothing is deleted meanwhile',
} as const;

export type KeyPlaceKind = keyof typeof KEY_PLACE_KINDS;

/** All places of one half. */
export async function placesOf(
  read: ReadHalf,
  ours: readonly Pair[],
): Promise<readonly KeyPlace[]> {
  const { half, source, reading } = read;
  const lines = linesOf(reading);
  const grouped = new Map<string, { kind: KeyPlaceKind; place: string; keyIds: Set<KeyId> }>();
  for (const line of lines) {
    const kind = kindOf(line, read, ours);
    const place = placeOf(source, line);
    const group = grouped.get(`${kind} ${place}`) ?? { kind, place, keyIds: new Set() };
    for (const id of keyIdsOf(line, half, ours)) group.keyIds.add(id);
    grouped.set(`${kind} ${place}`, group);
  }
  const places: KeyPlace[] = [...grouped.values()].map(({ kind, place, keyIds }) => ({
    half,
    kind,
    place,
    keyIds: [...keyIds].toSorted(),
  }));
  if ('reason' in reading) {
    const unreadable: KeyPlaceKind = 'unreadable';
    const place = `${source.source} ${source.place}`;
    places.push({ half, kind: unreadable, place, keyIds: [], note: reading.reason });
  }
  return [...places, ...(await copiesOf(read))];
}

/** `file /var/lib/…`; an environment variable of its own where the line has one. */
export function placeOf(source: HalfSource, line?: HalfLine): string {
  return `${source.source} ${line?.place ?? source.place}`;
}

function kindOf(line: HalfLine, { half, source }: ReadHalf, ours: readonly Pair[]): KeyPlaceKind {
  if (line.place !== undefined) return 'previous';
  if (!source.isWritable) return 'readOnly';
  if (line.condemnedAtMs !== undefined) return 'condemned';
  return line.keyId === undefined && keyIdsOf(line, half, ours).length === 0 ? 'foreign' : 'line';
}

function keyIdsOf(line: HalfLine, half: 'A' | 'B', ours: readonly Pair[]): readonly KeyId[] {
  if (line.keyId !== undefined) return [line.keyId];
  return ours
    .filter(({ lineA, lineB }) => (half === 'A' ? lineA : lineB) === line)
    .map(({ key }) => key.id);
}

async function copiesOf({ half, source }: ReadHalf): Promise<readonly KeyPlace[]> {
  const kind: KeyPlaceKind = 'corruptCopy';
  let copies: readonly CorruptCopy[];
  try {
    copies = (await source.copies?.()) ?? [];
  } catch (error) {
    if (!(error instanceof KeystoreError)) throw error;
    const note = `copies beside it cannot be listed: ${error.message}`;
    return [{ half, kind: 'unreadable', place: placeOf(source), keyIds: [], note }];
  }
  return copies.map(({ place, keyIds, unknown }) => {
    const copy = { half, kind, place: `${source.source} ${place}`, keyIds };
    return unknown === undefined ? copy : Object.assign(copy, { note: unknown });
  });
}
