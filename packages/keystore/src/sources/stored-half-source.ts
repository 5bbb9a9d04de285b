/** A half source that stores one value at one place: what `file`, `xenstore`, `command` and `systemd` have in common. */
import type { KeyHalf, KeyId } from '@vault/crypto';
import { KeystoreError } from '../errors.js';
import { destroyReading } from '../half-source.js';
import type {
  Artefact,
  HalfReading,
  HalfSource,
  HalfSourceName,
  LabelledHalf,
  LineRemoval,
} from '../half-source.js';
import {
  appendEdit,
  FOREIGN_VALUE,
  isBlank,
  parseHalfValue,
  readingOf,
  removeEdit,
} from '../half-value.js';
import type { EditRefusal, ValueEdit } from '../half-value.js';
import type { RawReading, ValuePlace } from '../value-place.js';

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

  async append(line: LabelledHalf, ownBare: readonly KeyHalf[] = []): Promise<void> {
    this.#assertWritable();
    await this.#at.change((current) =>
      this.#checked(line.keyId, appendEdit(current, line, this.#at.parseOptions, ownBare)),
    );
  }

  async remove(removal: LineRemoval): Promise<void> {
    this.#assertWritable();
    await this.#at.change((current) =>
      this.#checked(removal.keyId, removeEdit(current, removal, this.#at.parseOptions)),
    );
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
