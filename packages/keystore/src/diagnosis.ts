/** Half diagnosis: one sentence a key or half that does not fit, for an operator. No secret in it. */
import type { KeyHalf, KeyId } from '@vault/crypto';
import { linesOf } from './half-source.js';
import type { HalfLine, HalfReading, HalfSource } from './half-source.js';
import type { Pairing } from './pairing.js';

/** One half: its source, and what reading it gave. */
export interface ReadHalf {
  readonly half: 'A' | 'B';
  readonly source: HalfSource;
  readonly reading: HalfReading;
  /** Halves without a key id, in a source that the server writes, that are known to be ours; every other one is foreign. */
  readonly ownBare: readonly KeyHalf[];
}

export type ReadHalves = readonly [ReadHalf, ReadHalf];

/** `half B (file /path)` */
export function nameHalf(half: 'A' | 'B', source: HalfSource): string {
  return `half ${half} (${source.source} ${source.place})`;
}

/** @returns nothing when all is well; sentences begin with a capital and end with a full stop */
export function diagnose(a: ReadHalf, b: ReadHalf, pairing: Pairing): readonly string[] {
  return [
    ...describeReading(a, b),
    ...describeReading(b, a),
    ...pairing.misfits.map(
      ({ keyId }) =>
        `The halves of key ${keyId} do not belong together: at least one of them was altered.`,
    ),
    ...describeForeign(a, b),
    ...describeForeign(b, a),
    ...describeOrphans(a, b, pairing),
    ...describeOrphans(b, a, pairing),
  ];
}

function describeReading({ half, source, reading }: ReadHalf, other: ReadHalf): readonly string[] {
  const subject = capitalise(nameHalf(half, source));
  if (reading.status === 'found') return [];
  if (reading.status !== 'missing') return [`${subject} is ${reading.status}: ${reading.reason}.`];
  const needed = labelsOf(linesOf(other.reading));
  const fits = needed.length === 0 ? '' : `; a half of key ${needed.join(' or ')} would fit`;
  return [`${subject} is missing${fits}.`];
}

/** Lines that are another system's, as far as is known. */
export function foreignLines({ source, reading, ownBare }: ReadHalf): readonly HalfLine[] {
  if (!source.isWritable) return [];
  return linesOf(reading).filter(
    ({ keyId, half }) => keyId === undefined && !ownBare.some((own) => own.equals(half)),
  );
}

function describeForeign(one: ReadHalf, other: ReadHalf): readonly string[] {
  const sought = labelsOf(linesOf(other.reading)).filter(
    (id) => !labelsOf(linesOf(one.reading)).includes(id),
  );
  const fits =
    sought.length === 0
      ? ''
      : `; a half of key ${sought.join(' or ')} would fit ${nameHalf(other.half, other.source)}`;
  return foreignLines(one).map(
    (line) =>
      `${capitalise(nameHalf(one.half, one.source))} has a half without a key id (fingerprint ${line.half.fingerprint()}) that no key of this database accounts for: it is foreign, and is left as it is${fits}.`,
  );
}

/** Lines of one half that no line of the other belongs to; not asked when the other half is not there to ask. */
function describeOrphans(one: ReadHalf, other: ReadHalf, pairing: Pairing): readonly string[] {
  if (linesOf(other.reading).length === 0) return [];
  const used = new Set(pairing.pairs.map(({ lineA, lineB }) => (one.half === 'A' ? lineA : lineB)));
  const explained = new Set(pairing.misfits.map(({ keyId }) => keyId));
  for (const { key } of pairing.pairs) explained.add(key.id);
  const sentences: string[] = [];
  for (const line of linesOf(one.reading)) {
    if (used.has(line)) continue;
    if (line.keyId === undefined) {
      if (one.source.isWritable) continue; // spoken of already
      // Each secret of an unwritable source is tried with every line; one that fits none is only worth a word when nothing fits.
      if (pairing.pairs.length === 0) sentences.push(describeBareOrphan(one, other, line));
    } else if (!explained.has(line.keyId)) {
      sentences.push(
        `${capitalise(nameHalf(one.half, one.source))} has a line of key ${line.keyId}; ${nameHalf(other.half, other.source)} has nothing that fits it${ofKeys(other)}.`,
      );
    }
  }
  return sentences;
}

function describeBareOrphan(one: ReadHalf, other: ReadHalf, line: HalfLine): string {
  return `${capitalise(nameHalf(one.half, one.source))} has a half without a key id (fingerprint ${line.half.fingerprint()}) that fits nothing in ${nameHalf(other.half, other.source)}${ofKeys(other)}.`;
}

function ofKeys({ reading }: ReadHalf): string {
  const labels = labelsOf(linesOf(reading));
  return labels.length === 0 ? '' : ` (it is of key ${labels.join(', ')})`;
}

function labelsOf(lines: readonly HalfLine[]): readonly KeyId[] {
  return lines.flatMap(({ keyId }) => (keyId === undefined ? [] : [keyId]));
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
