/** The port of a half source: where one of the two halves lives. */
import type { KeyHalf, KeyId } from '@vault/crypto';

/** One line of a value. Without a key id it is *bare*: whose it is only its source, or the state of the database, can say. */
export interface HalfLine {
  readonly keyId: KeyId | undefined;
  readonly half: KeyHalf;
  /** Since when somebody wants it gone, ms since the epoch; it opens as before. Absent: nobody does. */
  readonly condemnedAtMs?: number | undefined;
  /** Where exactly it is, where that is not the source's place: another variable. */
  readonly place?: string;
}

/** A line as we write it: always labelled. */
export interface LabelledHalf extends HalfLine {
  readonly keyId: KeyId;
}

/** What reading a source gave. The caller owns the halves and destroys them ({@link destroyLines}). */
export type HalfReading =
  /** the source was asked and provably holds nothing */
  | { readonly status: 'missing' }
  /** at least one line, newest last */
  | { readonly status: 'found'; readonly lines: readonly HalfLine[] }
  /** something is there that is not a half; `lines` are those that are whole, perhaps none */
  | { readonly status: 'corrupt'; readonly reason: string; readonly lines: readonly HalfLine[] }
  /** the source could not be asked: nothing is known of it, above all not that it is missing */
  | { readonly status: 'unreadable'; readonly reason: string };

/** Which lines to remove: those labelled `keyId`, and a bare one that equals `bareHalf`. */
export interface LineRemoval {
  readonly keyId: KeyId;
  readonly bareHalf?: KeyHalf;
  /** Those that are condemned, and no others. Default: all. */
  readonly onlyCondemned?: boolean;
}

/** What has to be true of the value that is written anew. */
export interface WriteGuard {
  /**
   * Keys that the database's own state names. In a place that others may share and that cannot compare
   * and swap, a line of any other key is a sign of another instance, whose next line we could drop: then
   * nothing is written. Default: not asked.
   */
  readonly namedKeyIds?: ReadonlySet<KeyId>;
  /** Halves without a key id that are known to be ours: no sign of another instance. Default: none. */
  readonly ownBare?: readonly KeyHalf[];
}

/** A corrupt value that was put aside. No secret in it. */
export interface CorruptCopy {
  readonly place: string;
  /** Keys whose lines, whole or damaged, are in it; sorted. */
  readonly keyIds: readonly KeyId[];
  /** Why it cannot be told whose halves are in it, or not of all; absent: each line names its key. */
  readonly unknown?: string;
}

/** A copy that was left, though a key that is, or may be, in it was deleted. */
export interface KeptCopy extends CorruptCopy {
  /** One sentence. */
  readonly reason: string;
}

/**
 * A thing that, once copied, has the half in it: two halves in one artefact protect nothing from
 * whoever copies that artefact.
 */
export interface Artefact {
  /** Equal ids are one artefact: `file-system:<device number>`, `virtual-machine`, … */
  readonly id: string;
  /** As an operator would name it, after "in" or "on". */
  readonly label: string;
}

/** Each method may be called again at any time; a source keeps no secret between two calls. */
export interface HalfSource {
  /** Its name in the configuration. */
  readonly source: HalfSourceName;
  /** Where the half is kept, as an operator would name it. Never secret. */
  readonly place: string;
  /** Whether it can be written by its nature; {@link writeRefusal} says whether it can be now. */
  readonly isWritable: boolean;
  /** Whether a line that is written here is read by the server's processes on other machines too; so, perhaps, by a copy of this machine. */
  readonly isShared: boolean;
  /** Whether two writers at one instant can never undo each other's change. */
  readonly comparesAndSwaps: boolean;
  /** For the custody check; best effort, never throws. */
  artefacts(): Promise<readonly Artefact[]>;
  /** Never throws for what an operator can meet: it reports. */
  read(): Promise<HalfReading>;
  /** Why nothing can be appended now, in one sentence, or `undefined`. Writes nothing. */
  writeRefusal(): Promise<string | undefined>;
  /**
   * Adds one line after those that are there, atomically and durably. A corrupt value is copied
   * aside first, and its whole lines are kept.
   * @throws KeystoreError `HALF_FOREIGN` where a value is there and no line of it is ours; what was there before still is
   */
  append(line: LabelledHalf, guard?: WriteGuard): Promise<void>;
  /**
   * Removes lines; the value itself goes with its last line. Nothing to remove is no error.
   * @throws KeystoreError; what was there before still is
   */
  remove(removal: LineRemoval, guard?: WriteGuard): Promise<void>;
  /**
   * Condemns the lines of a key, or takes the mark away. Nothing to change is no error.
   * @throws KeystoreError; what was there before still is
   */
  mark?(
    change: LineRemoval & { readonly condemnedAtMs: number | undefined },
    guard?: WriteGuard,
  ): Promise<void>;
  /** Corrupt values that were put aside. @throws KeystoreError when that cannot be told */
  copies?(): Promise<readonly CorruptCopy[]>;
  /**
   * Deletes the copies that hold nothing but lines of a key that was removed, and lines that stand in the value as well.
   * @returns those that were left although the key is, or may be, in them
   */
  eraseCopies?(keyId: KeyId): Promise<readonly KeptCopy[]>;
  /** Makes what a missing, unwritable source needs in order to have a secret (the salt of `machine`); never replaces anything. */
  initialise?(): Promise<void>;
}

export const HALF_SOURCE_NAMES = [
  'xenstore',
  'file',
  'env',
  'machine',
  'command',
  'systemd',
] as const;
export type HalfSourceName = (typeof HALF_SOURCE_NAMES)[number];

/** Zeroes the halves of lines that are no longer needed. */
export function destroyLines(lines: readonly HalfLine[]): void {
  for (const { half } of lines) half.destroy();
}

/** Zeroes the halves of a reading, whatever its status. */
export function destroyReading(reading: HalfReading): void {
  destroyLines(linesOf(reading));
}

/** The whole lines of a reading, oldest first; none when it is missing or unreadable. */
export function linesOf(reading: HalfReading): readonly HalfLine[] {
  return 'lines' in reading ? reading.lines : [];
}
