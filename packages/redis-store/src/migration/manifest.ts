/**
 * The manifest of a migration: one keyed hash a record, in the order in which records are read.
 * What is not in it, or differs from it, was put there by somebody else meanwhile.
 *
 * ```
 * {"format":"vault-migration-manifest","version":1,"databaseId":…,"keyId":…}
 * # <partition>
 * r <mac> <id as JSON>          a record: HMAC (manifest key, base64url) over collection, id, its JSON bytes
 * o <mac> <id as JSON>          something that cannot be read and is left as it is: HMAC over collection, id, the stored bytes
 * end <number of records> <HMAC over SHA-256 of all that stands before this line>
 * ```
 *
 * The hash is of the JSON, not of the stored form, so one manifest serves *encrypt*, its resume, and
 * a change of mind.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { unpadJson } from '@vault/crypto';
import type { VaultKey } from '@vault/crypto';
import { compareIds } from './record-stream.js';
import { MigrationError } from './migration-error.js';

const FORMAT = 'vault-migration-manifest';
const MODE = 0o400;
const READ_BYTES = 256 * 1024;

/** `r`: readable, hashed as JSON; `o`: opaque, hashed as stored. */
export type EntryKind = 'r' | 'o';
export interface ManifestEntry {
  readonly kind: EntryKind;
  /** base64url */
  readonly mac: string;
}

/** The hash of one record. Trailing spaces are padding, not content. */
export function manifestMac(key: VaultKey, collection: string, id: string, bytes: Buffer): string {
  return key.mac('manifest', collection, id, unpadJson(bytes)).toString('base64url');
}

export class ManifestWriter {
  readonly #file: FileHandle;
  readonly #key: VaultKey;
  readonly #hash = createHash('sha256');
  #lines: string[] = [];
  #section = '';
  #count = 0;

  private constructor(file: FileHandle, key: VaultKey) {
    this.#file = file;
    this.#key = key;
  }

  static async create(path: string, key: VaultKey, databaseId: string): Promise<ManifestWriter> {
    const writer = new ManifestWriter(await open(path, 'wx', MODE), key);
    const header = { format: FORMAT, version: 1, databaseId, keyId: key.id };
    writer.#lines.push(JSON.stringify(header));
    return writer;
  }

  add(partition: string, id: string, { kind, mac }: ManifestEntry): void {
    if (partition !== this.#section) {
      this.#section = partition;
      this.#lines.push(`# ${partition}`);
    }
    this.#lines.push(`${kind} ${mac} ${JSON.stringify(id)}`);
    this.#count++;
  }

  /** Writes out what was added. */
  async flush(): Promise<void> {
    if (this.#lines.length === 0) return;
    const text = `${this.#lines.join('\n')}\n`;
    this.#lines = [];
    this.#hash.update(text);
    await this.#file.writeFile(text);
  }

  /** Completes and syncs the file. */
  async finish(): Promise<void> {
    await this.flush();
    const mac = this.#key.mac('manifest', this.#hash.digest()).toString('base64url');
    await this.#file.writeFile(`end ${this.#count} ${mac}\n`);
    await this.#file.sync();
    await this.close();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

interface ReadEntry extends ManifestEntry {
  readonly section: string;
  readonly id: string;
}

/** Reads a manifest beside records that are read in the same order. */
export class ManifestReader {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #key: VaultKey;
  readonly #sections: ReadonlyMap<string, number>;
  readonly #hash = createHash('sha256');
  #entries: ReadEntry[] = [];
  #at = 0;
  #tail = '';
  #section = '';
  #count = 0;
  #isEnded = false;

  private constructor(
    path: string,
    file: FileHandle,
    key: VaultKey,
    sections: ReadonlyMap<string, number>,
  ) {
    this.#path = path;
    this.#file = file;
    this.#key = key;
    this.#sections = sections;
  }

  /**
   * @param partitions names in the order in which records are read
   * @throws {MigrationError} when there is no manifest, or it is not of this database
   */
  static async open(
    path: string,
    key: VaultKey,
    databaseId: string,
    partitions: readonly string[],
  ): Promise<ManifestReader> {
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch {
      throw new MigrationError(`the manifest ${path} cannot be opened`);
    }
    const sections = new Map(partitions.map((name, i) => [name, i]));
    const reader = new ManifestReader(path, file, key, sections);
    try {
      const [first = '', ...lines] = await reader.#readLines();
      const header = JSON.parse(first) as Record<string, unknown>;
      if (header['format'] === FORMAT && header['version'] === 1) {
        if (header['databaseId'] === databaseId && header['keyId'] === key.id) {
          for (const line of lines) reader.#takeLine(line);
          return reader;
        }
      }
    } catch {
      // Reported below, like any other file that is not ours.
    }
    await file.close();
    throw new MigrationError(`${path} is not the manifest of this database and key`);
  }

  /**
   * The entries of a batch of records.
   * @returns entries aligned with `ids`, and ids (with partition) that the manifest has and the batch has not
   */
  async align(
    partition: string,
    ids: readonly string[],
  ): Promise<{ entries: (ManifestEntry | undefined)[]; missing: string[] }> {
    const entries: (ManifestEntry | undefined)[] = [];
    const missing: string[] = [];
    const section = this.#sections.get(partition) ?? -1;
    for (const id of ids) {
      let entry: ManifestEntry | undefined;
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- reads on only when a block is used up
        const next = this.#entries[this.#at] ?? (await this.#refill());
        if (next === undefined) break;
        const order = (this.#sections.get(next.section) ?? -1) - section || compareIds(next.id, id);
        if (order > 0) break;
        this.#at++;
        if (order === 0) {
          entry = next;
          break;
        }
        missing.push(`${next.section} ${next.id}`);
      }
      entries.push(entry);
    }
    return { entries, missing };
  }

  /** What is left after the last batch; closes the file. @throws {MigrationError} when the file is damaged */
  async rest(): Promise<string[]> {
    const missing: string[] = [];
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- reads on only when a block is used up
      const next = this.#entries[this.#at] ?? (await this.#refill());
      if (next === undefined) break;
      this.#at++;
      missing.push(`${next.section} ${next.id}`);
    }
    await this.close();
    return missing;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #refill(): Promise<ReadEntry | undefined> {
    this.#entries = [];
    this.#at = 0;
    while (this.#entries.length === 0 && !this.#isEnded) {
      // oxlint-disable-next-line no-await-in-loop -- block after block
      for (const line of await this.#readLines()) this.#takeLine(line);
    }
    return this.#entries[0];
  }

  #takeLine(line: string): void {
    if (line.startsWith('# ')) {
      this.#section = line.slice(2);
      return;
    }
    const [kind, mac = ''] = line.split(' ', 2);
    if (kind === 'end') {
      this.#checkEnd(line);
      return;
    }
    if (kind !== 'r' && kind !== 'o') throw this.#damaged();
    this.#count++;
    const id: unknown = JSON.parse(line.slice(mac.length + 3));
    if (typeof id !== 'string') throw this.#damaged();
    this.#entries.push({ section: this.#section, id, kind, mac });
  }

  #checkEnd(line: string): void {
    const [, count, mac = ''] = line.split(' ');
    const isWhole =
      Number(count) === this.#count &&
      this.#key.isMac('manifest', Buffer.from(mac, 'base64url'), this.#hash.digest());
    if (!isWhole) throw this.#damaged();
    this.#isEnded = true;
  }

  /** The next block of whole lines, hashed but for the last line of the file. */
  async #readLines(): Promise<string[]> {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const { bytesRead } = await this.#file.read(buffer, 0, READ_BYTES, null);
    if (bytesRead === 0) throw this.#damaged();
    // Lines are ASCII but for ids, which may break at a block's end: the tail is kept as latin1 bytes.
    const text = this.#tail + buffer.toString('latin1', 0, bytesRead);
    const end = text.lastIndexOf('\n');
    this.#tail = text.slice(end + 1);
    if (end < 0) return [];
    const lines = text.slice(0, end).split('\n');
    const last = lines.at(-1);
    const hashed = last?.startsWith('end ') === true ? text.lastIndexOf('\n', end - 1) : end;
    this.#hash.update(Buffer.from(text.slice(0, hashed + 1), 'latin1'));
    return lines.map((line) => Buffer.from(line, 'latin1').toString());
  }

  #damaged(): MigrationError {
    return new MigrationError(`the manifest ${this.#path} is damaged`);
  }
}
