/** Where a value is stored, for the sources that store one: knows bytes, not lines. */
import type { Artefact, HalfSourceName } from './half-source.js';
import type { ParseOptions, ValueEdit } from './half-value.js';

/** The bytes at a place. The caller zeroes `value`. */
export type RawReading =
  | { readonly status: 'missing' }
  | { readonly status: 'value'; readonly value: Buffer }
  /** what is there cannot be a value (too long, not a file) */
  | { readonly status: 'corrupt'; readonly reason: string }
  | { readonly status: 'unreadable'; readonly reason: string };

/** A corrupt value that was put aside. The caller zeroes `value`. */
export interface ValueCopy {
  readonly place: string;
  /** `undefined` where it cannot be read. */
  readonly value: Buffer | undefined;
}

export interface ValuePlace {
  readonly source: HalfSourceName;
  readonly place: string;
  readonly isWritable: boolean;
  readonly isShared: boolean;
  /** Whether {@link change} never undoes what somebody else wrote meanwhile. */
  readonly comparesAndSwaps: boolean;
  /** Whether a corrupt value can be copied aside, which is what allows to write in its place. */
  readonly canCopyAside: boolean;
  readonly parseOptions: ParseOptions;
  artefacts(): Promise<readonly Artefact[]>;
  read(): Promise<RawReading>;
  writeRefusal(): Promise<string | undefined>;
  /**
   * Reads, asks `edit` what is to become of the value, does that atomically and durably. `edit` may
   * be called again when somebody else wrote meanwhile.
   * @throws KeystoreError; what was there before still is
   */
  change(edit: (current: Buffer | undefined) => ValueEdit): Promise<void>;
  /** Values that were copied aside. Absent where that cannot be done. @throws KeystoreError */
  copies?(): Promise<readonly ValueCopy[]>;
  /** @throws KeystoreError when it is still there */
  deleteCopy?(place: string): Promise<void>;
}
