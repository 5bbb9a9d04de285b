/** Whether a pair can be written with the sources as they are, and of which halves it would be. */
// oxlint-disable no-await-in-loop -- half A is spoken of before half B
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import { nameHalf } from './diagnosis.js';
import type { ReadHalf, ReadHalves } from './diagnosis.js';
import { KeystoreError } from './errors.js';
import { FOREIGN_VALUE, isForeignValue } from './half-value.js';
import { linesOf } from './half-source.js';
import type { HalfLine, WriteGuard } from './half-source.js';
import { strangersRefusal } from './strangers.js';

/** Why no new pair can be written, or `undefined`. Writes nothing. */
export async function appendRefusalOf(
  halves: ReadHalves,
  guard: WriteGuard = {},
): Promise<string | undefined> {
  const fixed: string[] = [];
  for (const read of halves) {
    const name = nameHalf(read.half, read.source);
    const refusal = read.source.isWritable
      ? await writableRefusal(read, guard)
      : unwritableRefusal(read);
    if (refusal !== undefined) return `${name} ${refusal}`;
    if (!read.source.isWritable && read.reading.status !== 'missing') {
      fixed.push(`${name}: ${(await read.source.writeRefusal()) ?? 'it is read-only'}`);
    }
  }
  if (fixed.length < halves.length) return undefined;
  return `neither half can be written by the server: ${fixed.join('; ')}`;
}

async function writableRefusal(
  { source, reading, ownBare }: ReadHalf,
  guard: WriteGuard,
): Promise<string | undefined> {
  if (reading.status === 'unreadable') return `cannot be read: ${reading.reason}`;
  if (isForeignValue(linesOf(reading), ownBare)) return FOREIGN_VALUE;
  const strangers = strangersRefusal(source, linesOf(reading), { ...guard, ownBare });
  if (strangers !== undefined) return strangers;
  const refusal = await source.writeRefusal();
  return refusal === undefined ? undefined : `cannot be written: ${refusal}`;
}

/** A source that is not written needs a secret that a new half can be paired with. */
function unwritableRefusal({ source, reading }: ReadHalf): string | undefined {
  if (reading.status === 'missing') {
    return source.initialise === undefined
      ? 'is missing, and the server cannot make it'
      : undefined;
  }
  if (reading.status !== 'found') return `is ${reading.status}: ${reading.reason}`;
  if (currentSecret(reading.lines) !== undefined) return undefined;
  return 'is read-only, and each of its lines belongs to one key already';
}

/** The newest bare line: a labelled one belongs to its key. */
export function currentSecret(lines: readonly HalfLine[]): KeyHalf | undefined {
  return lines.findLast(({ keyId }) => keyId === undefined)?.half;
}

/**
 * A new half where one can be written, else a copy of the secret that is there.
 * @returns a half of the caller's own, to be destroyed
 * @throws KeystoreError `APPEND_REFUSED`
 */
export function halfForNewPair({ half, source, reading }: ReadHalf): KeyHalf {
  if (source.isWritable) return KeyHalf.generate();
  const secret = currentSecret(linesOf(reading));
  if (secret === undefined) {
    throw new KeystoreError(
      'APPEND_REFUSED',
      `${nameHalf(half, source)} has no secret to pair a new half with`,
    );
  }
  return KeyHalf.fromBytes(secret.unsafeBytes());
}

/**
 * What has to be done so that a half that is given stands in its source again.
 * @returns `nothing` when it is there, whatever its label
 * @throws KeystoreError `APPEND_REFUSED` when it is not, and cannot be written
 */
export async function planRestore(
  read: ReadHalf,
  keyId: KeyId,
  given: KeyHalf,
): Promise<'nothing' | 'append'> {
  const isThere = linesOf(read.reading).some(
    (line) => (line.keyId === undefined || line.keyId === keyId) && line.half.equals(given),
  );
  if (isThere) return 'nothing';
  const refusal = read.source.isWritable
    ? await writableRefusal(read, {})
    : 'has another secret, and the server cannot write it';
  if (refusal === undefined) return 'append';
  throw new KeystoreError(
    'APPEND_REFUSED',
    `${nameHalf(read.half, read.source)} ${refusal}; the half of key ${keyId} is not there`,
  );
}
