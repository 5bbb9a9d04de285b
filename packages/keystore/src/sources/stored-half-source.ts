/** A half source that stores one value at one place: what `file`, `xenstore`, `command` and `systemd` have in common. */
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
import { appendEdit, parseHalfValue, readingOf, removeEdit } from '../half-value.js';
import type { ValuePlace } from '../value-place.js';

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
    const raw = await this.#at.read();
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
    const reading = await this.read();
    destroyReading(reading);
    if (reading.status !== 'corrupt') return undefined;
    return `its value is corrupt (${reading.reason}), and there is no place to copy it aside`;
  }

  async append(line: LabelledHalf): Promise<void> {
    this.#assertWritable();
    await this.#at.change((current) => appendEdit(current, line, this.#at.parseOptions));
  }

  async remove(removal: LineRemoval): Promise<void> {
    this.#assertWritable();
    await this.#at.change((current) => {
      const edit = removeEdit(current, removal, this.#at.parseOptions);
      if (edit.action === 'refuse') {
        throw new KeystoreError(
          'HALF_CORRUPT',
          `${this.source} ${this.place} holds key ${removal.keyId} in a corrupt value (${edit.reason}): mend it by hand`,
        );
      }
      return edit;
    });
  }

  #assertWritable(): void {
    if (this.#at.isWritable) return;
    throw new KeystoreError('HALF_NOT_WRITABLE', `${this.source} ${this.place} is read-only`);
  }
}
