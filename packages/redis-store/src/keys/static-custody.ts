/** A custody in memory, for tests, examples and programs that bring their own secrets: `@vault/keystore` keeps halves where they belong. */
import { KeyHalf, VaultKey } from '@vault/crypto';
import type {
  AppendOptions,
  CustodyReport,
  HalfReport,
  HalvesState,
  KeyCustody,
  KeyId,
  KeyPlace,
  Remnant,
} from '@vault/crypto';

/** Pairs that were given or appended, oldest first. */
class StaticCustody implements KeyCustody {
  readonly #keys = new Map<KeyId, VaultKey>();

  constructor(pairs: readonly (readonly [KeyHalf, KeyHalf])[]) {
    for (const [halfA, halfB] of pairs) this.#add(VaultKey.derive(halfA, halfB));
  }

  load(): Promise<CustodyReport> {
    const keys = new Map(this.#keys);
    const ids = [...keys.keys()];
    const state: HalvesState = ids.length === 0 ? 'none' : 'paired';
    const half = (name: 'A' | 'B'): HalfReport => ({
      half: name,
      source: 'static',
      place: 'memory of this process',
      status: ids.length === 0 ? 'missing' : 'found',
      isShared: false,
      keyIds: ids,
      isWritable: true,
    });
    return Promise.resolve({
      state,
      ring: { ids, byId: (id) => keys.get(id) },
      unlabelled: { ids: [], byId: () => undefined },
      supersededIds: [],
      suppliedId: undefined,
      halves: [half('A'), half('B')],
      diagnosis: [],
      custodyWarnings: ['Both halves are in the memory of one process'],
      condemned: [],
    });
  }

  /** Each pair was given as one: there is nothing to admit. */
  admit(): void {}

  appendRefusal(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async append({ announce }: AppendOptions = {}): Promise<VaultKey> {
    const key = VaultKey.derive(KeyHalf.generate(), KeyHalf.generate());
    await announce?.(key.id);
    return this.#add(key);
  }

  remove(id: KeyId): Promise<readonly Remnant[]> {
    this.#keys.delete(id);
    return Promise.resolve([]);
  }

  /** Nobody shares the memory of a process. */
  condemn(): Promise<void> {
    return Promise.resolve();
  }

  spare(): Promise<void> {
    return Promise.resolve();
  }

  putBack(key: VaultKey): Promise<void> {
    this.#add(key);
    return Promise.resolve();
  }

  inventory(): Promise<readonly KeyPlace[]> {
    const keyIds = [...this.#keys.keys()].toSorted();
    const place = 'memory of this process';
    return Promise.resolve(
      (['A', 'B'] as const).map((half) => ({ half, kind: 'line', place, keyIds })),
    );
  }

  #add(key: VaultKey): VaultKey {
    this.#keys.set(key.id, key);
    return key;
  }
}

/**
 * A custody of the given pairs; none: the first *encrypt* makes one, which ends with the process.
 * @param pairs halves A and B, oldest pair first
 */
export function staticCustody(...pairs: readonly (readonly [KeyHalf, KeyHalf])[]): KeyCustody {
  return new StaticCustody(pairs);
}
