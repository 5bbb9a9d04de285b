/** Split custody: two half sources, taken together. */
// oxlint-disable no-await-in-loop -- one half after the other
import { KeyHalf, VaultKey } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import type { CustodyReport, HalfReport, HalvesState, KeyCustody, KeyRing } from './custody.js';
import { checkCustody } from './custody-check.js';
import { diagnose, nameHalf } from './diagnosis.js';
import type { ReadHalf } from './diagnosis.js';
import { KeystoreError } from './errors.js';
import { destroyReading, linesOf } from './half-source.js';
import type { HalfLine, HalfSource, LineRemoval } from './half-source.js';
import { pairHalves } from './pairing.js';
import type { Pairing } from './pairing.js';

export interface SplitKeystoreOptions {
  readonly halfA: HalfSource;
  readonly halfB: HalfSource;
}

type ReadHalves = readonly [ReadHalf, ReadHalf];

/**
 * Keeps both halves: loads and pairs them, appends a new pair, removes the lines of one key. There
 * is no way to overwrite a half, nor to remove more than one key's lines at a time.
 */
export class SplitKeystore implements KeyCustody {
  readonly #halfA: HalfSource;
  readonly #halfB: HalfSource;
  #lastChange: Promise<unknown> = Promise.resolve();

  /** @throws KeystoreError `SOURCE_CONFIG_INVALID` when both halves would be at one place */
  constructor({ halfA, halfB }: SplitKeystoreOptions) {
    if (
      halfA.source === halfB.source &&
      halfA.place === halfB.place &&
      halfA.source !== 'command'
    ) {
      throw new KeystoreError(
        'SOURCE_CONFIG_INVALID',
        `both halves are configured at one place (${halfA.source} ${halfA.place}): a key split like that is not split`,
      );
    }
    this.#halfA = halfA;
    this.#halfB = halfB;
  }

  /**
   * Whether a key that {@link append} makes is at once there for the server's processes on other
   * machines: every half that is written is in a shared source.
   */
  get isShared(): boolean {
    return this.#sources().every((source) => !source.isWritable || source.isShared);
  }

  async load(): Promise<CustodyReport> {
    const custodyWarnings = await checkCustody(this.#halfA, this.#halfB);
    return this.#withHalves((halves) => {
      const pairing = this.#pair(halves);
      return {
        state: stateOf(halves, pairing),
        ring: ringOf(pairing),
        halves: [reportOf(halves[0]), reportOf(halves[1])],
        diagnosis: diagnose(halves[0], halves[1], pairing),
        custodyWarnings,
      };
    });
  }

  async appendRefusal(): Promise<string | undefined> {
    return this.#withHalves((halves) => appendRefusalOf(halves));
  }

  append(): Promise<VaultKey> {
    return this.#exclusively(() => this.#appendPair());
  }

  remove(id: KeyId): Promise<void> {
    return this.#exclusively(() => this.#removeLines(id));
  }

  async #appendPair(): Promise<VaultKey> {
    const refusal = await this.appendRefusal();
    if (refusal !== undefined) throw new KeystoreError('APPEND_REFUSED', refusal);
    await this.#initialiseMissing();
    return this.#withHalves(async ([a, b]) => {
      const halfA = halfForNewPair(a);
      const halfB = halfForNewPair(b);
      const key = VaultKey.derive(halfA, halfB);
      try {
        if (a.source.isWritable) await a.source.append({ keyId: key.id, half: halfA });
        if (b.source.isWritable) await b.source.append({ keyId: key.id, half: halfB });
        await this.#assertReadsBack(key.id);
        return key;
      } catch (error) {
        key.destroy();
        throw error;
      } finally {
        halfA.destroy();
        halfB.destroy();
      }
    });
  }

  /** An unwritable source that is missing what it derives its secret from gets it now, never at reading. */
  async #initialiseMissing(): Promise<void> {
    for (const source of this.#sources()) {
      if (source.initialise === undefined) continue;
      const reading = await source.read();
      destroyReading(reading);
      if (reading.status === 'missing') await source.initialise();
    }
  }

  async #assertReadsBack(id: KeyId): Promise<void> {
    const { ring, diagnosis } = await this.load();
    const isThere = ring.byId(id) !== undefined;
    for (const other of ring.ids) ring.byId(other)?.destroy();
    if (isThere) return;
    throw new KeystoreError(
      'HALF_READ_BACK_FAILED',
      `key ${id} was written and does not read back: ${diagnosis.join(' ')}`,
    );
  }

  async #removeLines(id: KeyId): Promise<void> {
    await this.#withHalves(async (halves) => {
      for (const { half, source, reading } of halves) {
        if (source.isWritable && reading.status === 'unreadable') {
          throw new KeystoreError(
            'HALF_UNREADABLE',
            `${nameHalf(half, source)} cannot be read: ${reading.reason}`,
          );
        }
      }
      const pairing = this.#pair(halves);
      try {
        // Both are tried even when one fails: the next call then has only that one left.
        const results = await Promise.allSettled(
          halves.map((half) => removeFrom(half, removalOf(half, id, pairing))),
        );
        const failed = results.find((result) => result.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
      } finally {
        for (const { key } of pairing.pairs) key.destroy();
      }
    });
  }

  #sources(): readonly [HalfSource, HalfSource] {
    return [this.#halfA, this.#halfB];
  }

  /** The order of lines that are written says which key is older. */
  #pair([a, b]: ReadHalves): Pairing {
    return pairHalves(linesOf(a.reading), linesOf(b.reading), a.source.isWritable ? 'A' : 'B');
  }

  /** Reads both sources, and zeroes what they gave once `use` is done. */
  async #withHalves<T>(use: (halves: ReadHalves) => T | Promise<T>): Promise<T> {
    const [readingA, readingB] = await Promise.all([this.#halfA.read(), this.#halfB.read()]);
    try {
      return await use([
        { half: 'A', source: this.#halfA, reading: readingA },
        { half: 'B', source: this.#halfB, reading: readingB },
      ]);
    } finally {
      destroyReading(readingA);
      destroyReading(readingB);
    }
  }

  /** Changes of one keystore run one after the other; other processes are kept away by the migration lock. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(change);
    this.#lastChange = result.catch(() => undefined);
    return result;
  }
}

function stateOf([a, b]: ReadHalves, { pairs }: Pairing): HalvesState {
  const statuses = [a.reading.status, b.reading.status];
  if (statuses.includes('unreadable')) return 'unreadable';
  const missing = statuses.filter((status) => status === 'missing').length;
  if (missing === 2) return 'none';
  if (missing === 1) return 'one';
  return pairs.length > 0 ? 'paired' : 'unpaired';
}

function ringOf({ pairs }: Pairing): KeyRing {
  const keys = new Map(pairs.map(({ key }) => [key.id, key]));
  return { ids: [...keys.keys()], byId: (id) => keys.get(id) };
}

function reportOf({ half, source, reading }: ReadHalf): HalfReport {
  const keyIds = linesOf(reading).flatMap(({ keyId }) => (keyId === undefined ? [] : [keyId]));
  return {
    half,
    source: source.source,
    place: source.place,
    status: reading.status,
    keyIds: [...new Set(keyIds)],
    ...('reason' in reading ? { reason: reading.reason } : {}),
  };
}

async function appendRefusalOf(halves: ReadHalves): Promise<string | undefined> {
  const fixed: string[] = [];
  for (const read of halves) {
    const name = nameHalf(read.half, read.source);
    const refusal = read.source.isWritable ? await writableRefusal(read) : unwritableRefusal(read);
    if (refusal !== undefined) return `${name} ${refusal}`;
    if (!read.source.isWritable && read.reading.status !== 'missing') {
      fixed.push(`${name}: ${(await read.source.writeRefusal()) ?? 'it is read-only'}`);
    }
  }
  if (fixed.length < halves.length) return undefined;
  return `neither half can be written by the server: ${fixed.join('; ')}`;
}

async function writableRefusal({ source, reading }: ReadHalf): Promise<string | undefined> {
  if (reading.status === 'unreadable') return `cannot be read: ${reading.reason}`;
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
function currentSecret(lines: readonly HalfLine[]): KeyHalf | undefined {
  return lines.findLast(({ keyId }) => keyId === undefined)?.half;
}

/** @returns a half of the caller's own, to be destroyed */
function halfForNewPair({ half, source, reading }: ReadHalf): KeyHalf {
  if (source.isWritable) return KeyHalf.generate();
  const secret = currentSecret(linesOf(reading));
  if (secret === undefined) {
    throw new KeystoreError('APPEND_REFUSED', `${nameHalf(half, source)} has no secret any more`);
  }
  return KeyHalf.fromBytes(secret.unsafeBytes());
}

/**
 * The lines of one half that go with a key: those labelled with it, and a bare one that it was
 * paired by, unless another key needs that one, too.
 */
function removalOf({ half }: ReadHalf, keyId: KeyId, { pairs }: Pairing): LineRemoval {
  const lineOf = ({ lineA, lineB }: Pairing['pairs'][number]): HalfLine =>
    half === 'A' ? lineA : lineB;
  const pair = pairs.find(({ key }) => key.id === keyId);
  if (pair === undefined) return { keyId };
  const line = lineOf(pair);
  const isNeeded = pairs.some((other) => other !== pair && lineOf(other) === line);
  return line.keyId === undefined && !isNeeded ? { keyId, bareHalf: line.half } : { keyId };
}

async function removeFrom({ source }: ReadHalf, removal: LineRemoval): Promise<void> {
  if (source.isWritable) await source.remove(removal);
}
