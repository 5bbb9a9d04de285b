/** A half source that stores one value at one place: what `file`, `xenstore`, `command` and `systemd` have in common. */
import type { KeyId } from '@vault/crypto';
import { describeCopy, judgeCopy } from '../corrupt-copies.js';
import { KeystoreError } from '../errors.js';
import { destroyLines, destroyReading, linesOf } from '../half-source.js';
import type {
  Artefact,
  CorruptCopy,
  HalfReading,
  HalfSource,
  HalfSourceName,
  KeptCopy,
  LabelledHalf,
  LineRemoval,
  WriteGuard,
} from '../half-source.js';
import {
  appendEdit,
  FOREIGN_VALUE,
  isBlank,
  markEdit,
  parseHalfValue,
  readingOf,
  removeEdit,
} from '../half-value.js';
import type { EditRefusal, MarkChange, ValueEdit } from '../half-value.js';
import { strangersRefusal } from '../strangers.js';
import type { RawReading, ValueCopy, ValuePlace } from '../value-place.js';

export class StoredHalfSource implements HalfSource {
  readonly #at: ValuePlace;

  constructor(at: ValuePlace) {
    this.#at = at;
  }

  get source(): HalfSourceName {
    return this.#at.source;
  }
  get place(): string {
    return this.#at.place;
  }
  get isWritable(): boolean {
    return this.#at.isWritable;
  }
  get isShared(): boolean {
    return this.#at.isShared;
  }
  get comparesAndSwaps(): boolean {
    return this.#at.comparesAndSwaps;
  }

  artefacts(): Promise<readonly Artefact[]> {
    return this.#at.artefacts();
  }

  async read(): Promise<HalfReading> {
    return this.#readingOf(await this.#at.read());
  }

  #readingOf(raw: RawReading): HalfReading {
    if (raw.status === 'corrupt') return { ...raw, lines: [] };
    if (raw.status !== 'value') return raw;
    try {
      return readingOf(parseHalfValue(raw.value, this.#at.parseOptions));
    } finally {
      raw.value.fill(0);
    }
  }

  async writeRefusal(): Promise<string | undefined> {
    const refusal = await this.#at.writeRefusal();
    if (refusal !== undefined || this.#at.canCopyAside) return refusal;
    const raw = await this.#at.read();
    const isNothing = raw.status === 'value' && isBlank(raw.value);
    const reading = this.#readingOf(raw);
    destroyReading(reading);
    if (reading.status !== 'corrupt' || isNothing) return undefined;
    return `its value is corrupt (${reading.reason}), and there is no place to copy it aside`;
  }

  async append(line: LabelledHalf, guard: WriteGuard = {}): Promise<void> {
    await this.#change(line.keyId, guard, (current) =>
      appendEdit(current, line, this.#at.parseOptions, guard.ownBare),
    );
  }

  async remove(removal: LineRemoval, guard: WriteGuard = {}): Promise<void> {
    await this.#change(removal.keyId, guard, (current) =>
      removeEdit(current, removal, this.#at.parseOptions),
    );
  }

  async mark(change: MarkChange, guard: WriteGuard = {}): Promise<void> {
    await this.#change(change.keyId, guard, (current) =>
      markEdit(current, change, this.#at.parseOptions),
    );
  }

  async copies(): Promise<readonly CorruptCopy[]> {
    return this.#withCopies((copies) => copies.map(describeCopy));
  }

  async eraseCopies(keyId: KeyId): Promise<readonly KeptCopy[]> {
    const reading = await this.read();
    const standing = linesOf(reading);
    try {
      return await this.#withCopies(async (copies) => {
        const kept: KeptCopy[] = [];
        for (const copy of copies) {
          const judged = judgeCopy(copy, keyId, standing);
          // oxlint-disable-next-line no-await-in-loop -- one place
          if (judged === 'erase') await this.#at.deleteCopy?.(copy.place);
          else if (judged !== 'nothing') kept.push(judged);
        }
        return kept;
      });
    } finally {
      destroyLines(standing);
    }
  }

  async #withCopies<T>(use: (copies: readonly ValueCopy[]) => T | Promise<T>): Promise<T> {
    const copies = (await this.#at.copies?.()) ?? [];
    try {
      return await use(copies);
    } finally {
      for (const { value } of copies) value?.fill(0);
    }
  }

  async #change(
    keyId: KeyId,
    guard: WriteGuard,
    edit: (current: Buffer | undefined) => ValueEdit | EditRefusal,
  ): Promise<void> {
    this.#assertWritable();
    await this.#at.change((current) => {
      const next = this.#checked(keyId, edit(current));
      if (next.action !== 'keep') this.#checkGuard(guard, current, next);
      return next;
    });
  }

  /** Asked of the very value that is replaced. */
  #checkGuard(guard: WriteGuard, current: Buffer | undefined, next: ValueEdit): void {
    if (current === undefined) return;
    const { lines } = parseHalfValue(current, this.#at.parseOptions);
    const refusal = strangersRefusal(this, lines, guard);
    destroyLines(lines);
    if (refusal === undefined) return;
    if (next.action === 'replace') next.value.fill(0);
    throw new KeystoreError('HALF_SHARED', `${this.source} ${this.place} ${refusal}`);
  }

  #checked(keyId: KeyId, edit: ValueEdit | EditRefusal): ValueEdit {
    if (edit.action !== 'refuse') return edit;
    if (edit.because === 'foreign') {
      throw new KeystoreError('HALF_FOREIGN', `${this.source} ${this.place} ${FOREIGN_VALUE}`);
    }
    throw new KeystoreError(
      'HALF_CORRUPT',
      `${this.source} ${this.place} holds key ${keyId} in a corrupt value (${edit.reason}): mend it by hand`,
    );
  }

  #assertWritable(): void {
    if (this.#at.isWritable) return;
    throw new KeystoreError('HALF_NOT_WRITABLE', `${this.source} ${this.place} is read-only`);
  }
}
