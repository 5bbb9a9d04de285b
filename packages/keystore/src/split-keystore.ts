/** Split custody: two half sources, taken together. */
// oxlint-disable no-await-in-loop -- one half after the other
import { KeyHalf, VaultKey } from '@vault/crypto';
import type {
  AppendOptions,
  CustodyReport,
  KeyCustody,
  KeyId,
  KeyPlace,
  NamedKeys,
  Remnant,
  RemoveOptions,
} from '@vault/crypto';
import { appendRefusalOf, halfForNewPair, planRestore } from './append-plan.js';
import { checkCustody } from './custody-check.js';
import { reportCustody } from './custody-report.js';
import { nameHalf } from './diagnosis.js';
import type { ReadHalf, ReadHalves } from './diagnosis.js';
import { errnoOf, KeystoreError } from './errors.js';
import { destroyReading, linesOf } from './half-source.js';
import type {
  HalfLine,
  HalfReading,
  HalfSource,
  LabelledHalf,
  LineRemoval,
  WriteGuard,
} from './half-source.js';
import { placesOf } from './inventory.js';
import { eraseCopies, unwritableRemnants } from './remnants.js';
import { pairHalves } from './pairing.js';
import type { Pair, Pairing } from './pairing.js';

export interface SplitKeystoreOptions {
  readonly halfA: HalfSource;
  readonly halfB: HalfSource;
}

/** Both halves of one key. Whoever holds it destroys both. */
export interface HalfPair {
  readonly keyId: KeyId;
  readonly halfA: KeyHalf;
  readonly halfB: KeyHalf;
}

/**
 * Keeps both halves: loads and pairs them, appends a new pair, removes the lines of one key. There
 * is no way to overwrite a half, nor to remove more than one key's lines at a time.
 */
export class SplitKeystore implements KeyCustody {
  readonly #halfA: HalfSource;
  readonly #halfB: HalfSource;
  readonly #admitted = new Set<KeyId>();
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
    return this.#withHalves((halves, pairing) =>
      reportCustody(halves, pairing, (pair) => this.#isOurs(pair), custodyWarnings),
    );
  }

  admit(ids: readonly KeyId[]): void {
    for (const id of ids) this.#admitted.add(id);
  }

  async appendRefusal(options: NamedKeys = {}): Promise<string | undefined> {
    return this.#withPairs((halves) => appendRefusalOf(halves, options));
  }

  append(options: AppendOptions = {}): Promise<VaultKey> {
    return this.#exclusively(() => this.#appendPair(options));
  }

  remove(id: KeyId, options: RemoveOptions = {}): Promise<readonly Remnant[]> {
    return this.#exclusively(() => this.#removeKey(id, options));
  }

  condemn(id: KeyId, atMs: number, options: NamedKeys = {}): Promise<void> {
    return this.#exclusively(() =>
      this.#changeLines(id, async ({ source, ownBare }, removal) => {
        const change = { ...removal, condemnedAtMs: atMs };
        if (source.isShared) await source.mark?.(change, { ...options, ownBare });
      }),
    );
  }

  /** Without regard to lines of others: what it prevents is worse than what it risks. */
  spare(id: KeyId): Promise<void> {
    return this.#exclusively(() =>
      this.#changeLines(id, async ({ source }, removal) => {
        await source.mark?.({ ...removal, condemnedAtMs: undefined });
      }),
    );
  }

  async putBack(key: VaultKey): Promise<void> {
    const [halfA, halfB] = key.halves();
    try {
      await this.restorePair({ keyId: key.id, halfA, halfB });
    } finally {
      halfA.destroy();
      halfB.destroy();
    }
  }

  inventory(): Promise<readonly KeyPlace[]> {
    return this.#withPairs(async (halves, { pairs }) => {
      const ours = pairs.filter((pair) => this.#isOurs(pair));
      return (await Promise.all(halves.map((half) => placesOf(half, ours)))).flat();
    });
  }

  /**
   * Both halves of a key, for a recovery kit.
   * @returns `undefined` when no whole key of that id is there
   */
  exportPair(id: KeyId): Promise<HalfPair | undefined> {
    return this.#withPairs((_halves, { pairs }) => {
      const pair = pairs.find(({ key }) => key.id === id);
      if (pair === undefined) return undefined;
      // Copies: those that were read are destroyed.
      const halfA = KeyHalf.fromBytes(pair.lineA.half.unsafeBytes());
      const halfB = KeyHalf.fromBytes(pair.lineB.half.unsafeBytes());
      return { keyId: id, halfA, halfB };
    });
  }

  /**
   * Puts halves of a recovery kit back where they belong: appends each that is not there. What is
   * there stays, and a pair that is whole already is left as it is.
   * @throws KeystoreError `APPEND_REFUSED`, before anything is written, when the halves do not give
   *   the key id, or one is not there and cannot be written
   */
  restorePair(pair: HalfPair): Promise<void> {
    return this.#exclusively(() => this.#restore(pair));
  }

  async #restore({ keyId, halfA, halfB }: HalfPair): Promise<void> {
    const key = VaultKey.derive(halfA, halfB);
    key.destroy();
    if (key.id !== keyId) {
      throw new KeystoreError('APPEND_REFUSED', `the halves do not give key ${keyId}`);
    }
    // Who gives the whole key says that a half of it is ours, with a label or without.
    this.admit([keyId]);
    await this.#withPairs(async ([a, b]) => {
      const plans = [
        { at: a, half: halfA, plan: await planRestore(a, keyId, halfA) },
        { at: b, half: halfB, plan: await planRestore(b, keyId, halfB) },
      ];
      for (const { at, half, plan } of plans) {
        if (plan === 'append') await at.source.append({ keyId, half }, { ownBare: at.ownBare });
      }
    });
    await this.#assertReadsBack(keyId);
  }

  async #appendPair({ announce, ...guard }: AppendOptions): Promise<VaultKey> {
    const refusal = await this.appendRefusal(guard);
    if (refusal !== undefined) throw new KeystoreError('APPEND_REFUSED', refusal);
    await this.#initialiseMissing();
    return this.#withPairs(async ([a, b]) => {
      const halfA = halfForNewPair(a);
      const halfB = halfForNewPair(b);
      const key = VaultKey.derive(halfA, halfB);
      try {
        await announce?.(key.id);
        await appendTo(a, { keyId: key.id, half: halfA }, guard);
        await appendTo(b, { keyId: key.id, half: halfB }, guard);
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
    const { ring, unlabelled, diagnosis } = await this.load();
    const isThere = ring.byId(id) !== undefined;
    for (const keys of [ring, unlabelled]) for (const each of keys.ids) keys.byId(each)?.destroy();
    if (isThere) return;
    throw new KeystoreError(
      'HALF_READ_BACK_FAILED',
      `key ${id} was written and does not read back: ${diagnosis.join(' ')}`,
    );
  }

  async #removeKey(
    id: KeyId,
    { onlyCondemned = false, ...guard }: RemoveOptions,
  ): Promise<readonly Remnant[]> {
    // What only this key is paired by, where the server cannot write: asked while the other half is there.
    const unwritable = await this.#withPairs((halves, { pairs }) =>
      unwritableRemnants(
        halves,
        pairs.filter((pair) => this.#isOurs(pair)),
        id,
      ),
    );
    if (onlyCondemned) {
      // First where somebody may object, so that his half and ours stay together.
      await this.#changeLines(id, async ({ source, ownBare }, removal) => {
        if (source.isShared)
          await source.remove({ ...removal, onlyCondemned }, { ...guard, ownBare });
      });
      await this.#assertNotSpared(id);
    }
    await this.#changeLines(id, async ({ source, ownBare }, removal) =>
      source.remove(removal, { ...guard, ownBare }),
    );
    const copies = await Promise.all(this.#sources().map((source) => eraseCopies(source, id)));
    return [...unwritable, ...copies.flat()];
  }

  async #assertNotSpared(id: KeyId): Promise<void> {
    await this.#withPairs((halves) => {
      // Who cannot be asked may have objected.
      const unread = halves.find(
        ({ source, reading }) => source.isShared && reading.status === 'unreadable',
      );
      if (unread?.reading.status === 'unreadable') {
        throw new KeystoreError(
          'HALF_UNREADABLE',
          `${nameHalf(unread.half, unread.source)} cannot be read: ${unread.reading.reason}`,
        );
      }
      const spared = halves.find(
        ({ source, reading }) =>
          source.isShared && linesOf(reading).some(({ keyId }) => keyId === id),
      );
      if (spared === undefined) return;
      throw new KeystoreError(
        'HALF_CONFLICT',
        `${nameHalf(spared.half, spared.source)}: the mark on key ${id} was taken away meanwhile: another instance uses it`,
      );
    });
  }

  /** Both writable halves are tried even when one fails: the next call then has only that one left. */
  async #changeLines(
    id: KeyId,
    change: (half: ReadHalf, removal: LineRemoval) => Promise<void>,
  ): Promise<void> {
    await this.#withPairs(async (halves, { pairs }) => {
      for (const { half, source, reading } of halves) {
        if (source.isWritable && reading.status === 'unreadable') {
          throw new KeystoreError(
            'HALF_UNREADABLE',
            `${nameHalf(half, source)} cannot be read: ${reading.reason}`,
          );
        }
      }
      const ours = pairs.filter((pair) => this.#isOurs(pair));
      const results = await Promise.allSettled(
        halves.map(async (half) => {
          if (half.source.isWritable) await change(half, removalOf(half, id, ours));
        }),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    });
  }

  #sources(): readonly [HalfSource, HalfSource] {
    return [this.#halfA, this.#halfB];
  }

  #isOurs({ key, isOwn }: Pair): boolean {
    return isOwn || this.#admitted.has(key.id);
  }

  /** As {@link #withHalves}, and zeroes the keys, too. */
  #withPairs<T>(use: (halves: ReadHalves, pairing: Pairing) => T | Promise<T>): Promise<T> {
    return this.#withHalves(async (halves, pairing) => {
      try {
        return await use(halves, pairing);
      } finally {
        for (const { key } of pairing.pairs) key.destroy();
      }
    });
  }

  /** Reads both sources, and zeroes what they gave once `use` is done. */
  async #withHalves<T>(use: (halves: ReadHalves, pairing: Pairing) => T | Promise<T>): Promise<T> {
    const [readingA, readingB] = await Promise.all([
      readWhatever(this.#halfA),
      readWhatever(this.#halfB),
    ]);
    try {
      const pairing = this.#pair(readingA, readingB);
      const ours = pairing.pairs.filter((pair) => this.#isOurs(pair));
      const ownA = bareHalves(ours.map(({ lineA }) => lineA));
      const ownB = bareHalves(ours.map(({ lineB }) => lineB));
      return await use(
        [
          { half: 'A', source: this.#halfA, reading: readingA, ownBare: ownA },
          { half: 'B', source: this.#halfB, reading: readingB, ownBare: ownB },
        ],
        pairing,
      );
    } finally {
      destroyReading(readingA);
      destroyReading(readingB);
    }
  }

  /** The order of lines that are written says which key is older. */
  #pair(readingA: HalfReading, readingB: HalfReading): Pairing {
    const a = { lines: linesOf(readingA), isWritable: this.#halfA.isWritable };
    const b = { lines: linesOf(readingB), isWritable: this.#halfB.isWritable };
    return pairHalves(a, b, a.isWritable ? 'A' : 'B');
  }

  /** Changes of one keystore run one after the other; other processes are kept away by the migration lock. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(change);
    this.#lastChange = result.catch(() => undefined);
    return result;
  }
}

function bareHalves(lines: readonly HalfLine[]): readonly KeyHalf[] {
  return lines.filter(({ keyId }) => keyId === undefined).map(({ half }) => half);
}

async function appendTo(
  { source, ownBare }: ReadHalf,
  line: LabelledHalf,
  guard: WriteGuard,
): Promise<void> {
  if (source.isWritable) await source.append(line, { ...guard, ownBare });
}

/** A source that fails in a way it does not know of itself is unreadable, too: never missing. */
async function readWhatever(source: HalfSource): Promise<HalfReading> {
  try {
    return await source.read();
  } catch (error) {
    return { status: 'unreadable', reason: `reading it failed: ${errnoOf(error)}` };
  }
}

/**
 * The lines of one half that go with a key: those labelled with it, and a bare one that it was
 * paired by, unless another key of ours needs that one, too.
 */
function removalOf({ half }: ReadHalf, keyId: KeyId, ours: readonly Pair[]): LineRemoval {
  const lineOf = ({ lineA, lineB }: Pair): HalfLine => (half === 'A' ? lineA : lineB);
  const pair = ours.find(({ key }) => key.id === keyId);
  if (pair === undefined) return { keyId };
  const line = lineOf(pair);
  const isNeeded = ours.some((other) => other !== pair && lineOf(other) === line);
  return line.keyId === undefined && !isNeeded ? { keyId, bareHalf: line.half } : { keyId };
}
