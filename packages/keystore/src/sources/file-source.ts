/** `file`: one value in one file of mode 0400. */
import { HALF_VALUE_MAX_BYTES } from '../half-value.js';
import type { ValueEdit } from '../half-value.js';
import { KeystoreError } from '../errors.js';
import type { Artefact } from '../half-source.js';
import { diskArtefacts } from '../internal/disk-artefacts.js';
import { SecretFile } from '../internal/secret-file.js';
import type { FileOwner } from '../internal/secret-file.js';
import type { RawReading, ValueCopy, ValuePlace } from '../value-place.js';

export interface FileSourceOptions {
  /** Absolute. */
  readonly path: string;
  /** Whether the file is on storage that all the server's machines mount. Default: false. */
  readonly isShared?: boolean;
  readonly owner: FileOwner;
}

const LINE_END = Buffer.from('\n');

export class FilePlace implements ValuePlace {
  readonly source = 'file';
  readonly isWritable = true;
  readonly isShared: boolean;
  /** Where it is shared; where it is not, nobody else writes there. */
  readonly comparesAndSwaps: boolean;
  readonly canCopyAside = true;
  readonly place: string;
  readonly parseOptions = { allowRaw: true } as const;
  readonly #file: SecretFile;
  readonly #owner: FileOwner;

  constructor(options: FileSourceOptions) {
    this.place = options.path;
    this.isShared = options.isShared ?? false;
    this.comparesAndSwaps = this.isShared;
    this.#owner = options.owner;
    this.#file = new SecretFile(options.path, options.owner, HALF_VALUE_MAX_BYTES);
  }

  artefacts(): Promise<readonly Artefact[]> {
    return diskArtefacts(this.place, this.#owner.fileSystem);
  }

  async read(): Promise<RawReading> {
    if (this.isShared) await this.#file.removeAbandonedLock();
    return this.#file.read();
  }

  async writeRefusal(): Promise<string | undefined> {
    const raw = await this.#file.read();
    if (raw.status === 'value') raw.value.fill(0);
    if (raw.status === 'unreadable') return raw.reason;
    if (raw.status === 'corrupt') return raw.reason;
    return this.#file.writeRefusal();
  }

  /**
   * On shared storage under a lock beside the file, which every server takes, so that no line is lost.
   * In a folder of our own two processes are kept apart by the migration lock in Redis; there, and for
   * an editor that knows of no lock, the value is compared once more just before the rename, which
   * narrows the gap without closing it, and the keystore reads back what it wrote.
   */
  async change(edit: (current: Buffer | undefined) => ValueEdit): Promise<void> {
    if (!this.isShared) return this.#change(edit, () => Promise.resolve());
    return this.#file.locked((check) => this.#change(edit, check));
  }

  copies(): Promise<readonly ValueCopy[]> {
    return this.#file.copies();
  }

  deleteCopy(place: string): Promise<void> {
    return this.#file.deleteCopy(place);
  }

  async #change(
    edit: (current: Buffer | undefined) => ValueEdit,
    checkLock: () => Promise<void>,
  ): Promise<void> {
    const current = await this.#readForChange();
    let next: ValueEdit | undefined;
    try {
      next = edit(current);
      if (next.action === 'keep') return;
      if (next.action === 'replace' && next.isCorrupt) {
        await this.#file.keepCopy(current ?? Buffer.alloc(0));
      }
      // At the last moment: what is written beside the file first may take its time on a slow share.
      const check = async (): Promise<void> => {
        await this.#assertUnchanged(current);
        await checkLock();
      };
      if (next.action === 'delete') await this.#file.delete(check);
      else await this.#replace(next.value, check);
    } finally {
      current?.fill(0);
      if (next?.action === 'replace') next.value.fill(0);
    }
  }

  async #replace(value: Buffer, check: () => Promise<void>): Promise<void> {
    const content = Buffer.concat([value, LINE_END]);
    try {
      await this.#file.replace(content, check);
    } finally {
      content.fill(0);
    }
  }

  async #readForChange(): Promise<Buffer | undefined> {
    const raw = await this.#file.read();
    if (raw.status === 'missing') return undefined;
    if (raw.status === 'value') return raw.value;
    const code = raw.status === 'corrupt' ? 'HALF_CORRUPT' : 'HALF_UNREADABLE';
    throw new KeystoreError(code, `file ${this.place}: ${raw.reason}`);
  }

  async #assertUnchanged(before: Buffer | undefined): Promise<void> {
    const now = await this.#readForChange();
    const isSame = now === undefined || before === undefined ? now === before : now.equals(before);
    now?.fill(0);
    if (!isSame) {
      throw new KeystoreError(
        'HALF_CONFLICT',
        `file ${this.place} was changed by somebody else meanwhile`,
      );
    }
  }
}
