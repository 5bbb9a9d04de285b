/**
 * The port between whoever keeps keys and whoever uses them: `@vault/keystore` fulfils it, `@vault/redis-store` takes
 * it, and the two do not know each other.
 */
import type { KeyId } from './key-id.js';
import type { VaultKey } from './vault-key.js';

/** The keys that were loaded and paired. Which of them is active is said by the seal, not by the ring. */
export interface KeyRing {
  /** Ids of all whole keys, oldest first. */
  readonly ids: readonly KeyId[];
  /** @returns `undefined` when no whole key of that id was loaded */
  byId(id: KeyId): VaultKey | undefined;
}

/** Whether the two halves, taken together, gave keys. */
export type HalvesState =
  /** both sources answered and hold nothing */
  | 'none'
  /** one source holds something, the other provably nothing */
  | 'one'
  /** both hold something, but no line of one belongs to a line of the other, or what is there is corrupt */
  | 'unpaired'
  /** at least one whole key */
  | 'paired'
  /** a source could not be asked (no permission, daemon down, tools missing): nothing is known of it */
  | 'unreadable';

/** What one half source holds, for an operator: no secret in it. */
export interface HalfReport {
  readonly half: 'A' | 'B';
  /** `xenstore`, `file`, … */
  readonly source: string;
  /** Where it is kept, as an operator would name it. */
  readonly place: string;
  readonly status: 'missing' | 'found' | 'foreign' | 'corrupt' | 'unreadable';
  /** Whether it is written where others, a copy of this machine for example, may write too. */
  readonly isShared: boolean;
  /** Keys whose lines are there: by their labels and, where the server writes, by what an unlabelled line of ours gives. */
  readonly keyIds: readonly KeyId[];
  /** Whether the server writes there; what it does not write an operator changes. */
  readonly isWritable: boolean;
  /** Why it is corrupt or unreadable: one sentence, no stored value in it. */
  readonly reason?: string;
}

/** A key whose lines somebody wants gone: they open as before. */
export interface CondemnedKey {
  readonly keyId: KeyId;
  /** Since when, ms since the epoch: the latest mark on a line of it. */
  readonly sinceMs: number;
}

/** A place where key material lies: all that deleting a key has to reach. No secret in it. */
export interface KeyPlace {
  readonly half: 'A' | 'B';
  /** `line`, `condemned`, `corruptCopy`, …: those of `@vault/keystore`. */
  readonly kind: string;
  /** `file /var/lib/…`, as an operator would name it. */
  readonly place: string;
  /** Sorted; none where it cannot be told. */
  readonly keyIds: readonly KeyId[];
  /** Anything an operator should know of it. */
  readonly note?: string;
}

/** Where a half of a removed key is left. */
export interface Remnant {
  readonly keyId: KeyId;
  readonly place: string;
  /** One sentence: why it is left. */
  readonly reason: string;
}

/** What the caller knows of the database that the keys are for. */
export interface NamedKeys {
  /**
   * Keys that the database's own state names. Where a half is in a place that others may share and that
   * cannot compare and swap, lines of other keys forbid writing there. Default: not asked.
   */
  readonly namedKeyIds?: ReadonlySet<KeyId>;
}

/** How a key is removed. */
export interface RemoveOptions extends NamedKeys {
  /** Where others may share a place, only lines that are condemned still: its user may have objected a moment ago. Default: all. */
  readonly onlyCondemned?: boolean;
}

/** How a pair is appended. */
export interface AppendOptions extends NamedKeys {
  /** Called with the new key's id before the first line of it is written: so that no line is there that nobody named. */
  readonly announce?: (keyId: KeyId) => Promise<void>;
}

/** What loading found. */
export interface CustodyReport {
  readonly state: HalvesState;
  readonly ring: KeyRing;
  /**
   * Keys that halves without a key id would give, in a source that the server writes. They are another
   * system's, until {@link KeyCustody.admit} says otherwise: to be compared with what the state of the database names.
   */
  readonly unlabelled: KeyRing;
  /** Keys of the ring that have a half from a secret in whose place an operator gave a newer one. */
  readonly supersededIds: readonly KeyId[];
  /** The key of the newest secrets, where the server writes neither half; else `undefined`. */
  readonly suppliedId: KeyId | undefined;
  readonly halves: readonly [HalfReport, HalfReport];
  /** One sentence a key or half that does not fit: which is missing, corrupt or of another key, by key id, and which would fit. */
  readonly diagnosis: readonly string[];
  /** Warnings about where the halves live (both in one artefact, and a better pair). */
  readonly custodyWarnings: readonly string[];
  readonly condemned: readonly CondemnedKey[];
}

/** Keeper of both halves. */
export interface KeyCustody {
  /** Reads both sources afresh. Never throws for a missing, corrupt or unreadable half: it reports. */
  load(): Promise<CustodyReport>;
  /**
   * Says that the authenticated state of the database names these keys: halves without a key id that give
   * one of them are ours from now on. Nothing is read.
   */
  admit(ids: readonly KeyId[]): void;
  /** Why no new pair can be written, or `undefined` when it can. */
  appendRefusal(options?: NamedKeys): Promise<string | undefined>;
  /**
   * Generates a new pair, appends one line to each writable source (what is there stays; a corrupt
   * value is copied aside first, a foreign one is refused), atomically and durably, reads both back.
   * @throws when a source cannot be written or reads back something else; a line already written stays
   */
  append(options?: AppendOptions): Promise<VaultKey>;
  /**
   * Removes the lines of that key from both sources, and the copies of corrupt values that hold
   * nothing else; a key that is not there is no error.
   * @returns where a half of it is left
   * @throws when a source cannot be read or written, or holds the key in a corrupt value
   */
  remove(id: KeyId, options?: RemoveOptions): Promise<readonly Remnant[]>;
  /**
   * Condemns the lines of a key where others may share the place: they open as before, and whoever
   * needs them has time to object. Lines that were condemned before stay so from then on; a mark of a
   * later time, which a wrong clock set, becomes one of this.
   * @throws as {@link remove}
   */
  condemn(id: KeyId, atMs: number, options?: NamedKeys): Promise<void>;
  /** Takes the mark away from the lines of a key. @throws as {@link remove} */
  spare(id: KeyId): Promise<void>;
  /**
   * Appends each half of a key that is not there, from the key itself; what is there stays.
   * @throws when one is not there and cannot be written
   */
  putBack(key: VaultKey): Promise<void>;
  /** Every place where key material lies. Never throws for one that cannot be asked: it says so. */
  inventory(): Promise<readonly KeyPlace[]>;
}
