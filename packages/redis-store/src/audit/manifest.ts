/**
 * The manifest of a migration: one hash a record, in the order in which records are read, encrypted.
 * What is not in it, or differs from it, was put there by somebody else meanwhile.
 *
 * ```
 * file  = {"format":"vault-migration-manifest","version":2,"databaseId":…,"keyId":…,"id":…} "\n" block …
 * block = length (4, big-endian) ‖ envelope v1, its id naming database, manifest (random) and number of the block
 * plaintext of a block = entry …
 * entry = "#" ‖ lp(partition)           those that follow are of this partition
 *       | "r" ‖ SHA-256 (32) ‖ lp(id)   a record: hash of its JSON bytes
 *       | "o" ‖ SHA-256 (32) ‖ lp(id)   something that cannot be read and is left as it is: hash of the stored bytes
 *       | "e" ‖ count (4)               the end, once, last of all: number of records
 * ```
 *
 * The hash is of the JSON, not of the stored form, so one manifest serves *encrypt*, its resume, and
 * a change of mind. It needs no key of its own: nobody reads or changes it inside an envelope.
 */
import { hash, randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { NewFile } from '@vault/crypto/files';
import { EnvelopeNotOpenedError, openEnvelope, sealEnvelope, unpadJson } from '@vault/crypto';
import type { RecordKey, VaultKey } from '@vault/crypto';
import { compareIds } from '../partitions/record-stream.js';
import { MigrationError } from '../migration-error.js';

const FORMAT = 'vault-migration-manifest';
const VERSION = 2;
const MODE = 0o400;
/** A collection of records cannot have this name, so its record key is the manifest's alone. */
const KEY_NAME = 'meta';

const BLOCK_BYTES = 64 * 1024;
/** A block ends behind the entry that fills it; an id has at most 65 535 bytes. */
const BLOCK_MAX_BYTES = BLOCK_BYTES + 2 ** 16 + 256;
const LENGTH_BYTES = 4;
const HEADER_MAX_BYTES = 1024;
const HASH_BYTES = 32;
const PREFIX_BYTES = 2;

const SECTION = 0x23; // #
const END = 0x65; // e
const KIND_BYTES = { r: 0x72, o: 0x6f } as const;

/** `r`: readable, hashed as JSON; `o`: opaque, hashed as stored. */
export type EntryKind = 'r' | 'o';
export interface ManifestEntry {
  readonly kind: EntryKind;
  /** SHA-256 as 32 characters of one byte each: text, since the runtime makes and compares it faster than a buffer. */
  readonly hash: string;
}

/** The hash of one record. Trailing spaces are padding, not content. */
export function manifestHash(bytes: Buffer): string {
  return hash('sha256', unpadJson(bytes), 'binary');
}

/** @param id of this manifest: blocks of another one, under the same key, do not fit in it */
function headerLine(databaseId: string, keyId: string, id: string): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, databaseId, keyId, id })}\n`;
}

function blockId(databaseId: string, id: string, number: number): string {
  return `manifest/${databaseId}/${id}/${number}`;
}

export class ManifestWriter {
  readonly #file: NewFile;
  readonly #key: RecordKey;
  readonly #databaseId: string;
  readonly #id = randomUUID();
  readonly #block = Buffer.allocUnsafe(BLOCK_MAX_BYTES);
  #used = 0;
  #blocks = 0;
  #unwritten: Buffer[] = [];
  #section = '';
  #count = 0;

  private constructor(file: NewFile, key: RecordKey, databaseId: string) {
    this.#file = file;
    this.#key = key;
    this.#databaseId = databaseId;
  }

  /** @param path of the manifest; it has that name once it is placed */
  static async create(path: string, key: VaultKey, databaseId: string): Promise<ManifestWriter> {
    const file = await NewFile.create(path, { mode: MODE });
    const writer = new ManifestWriter(file, key.recordKey(KEY_NAME), databaseId);
    writer.#unwritten.push(Buffer.from(headerLine(databaseId, key.id, writer.#id)));
    return writer;
  }

  add(partition: string, id: string, { kind, hash: digest }: ManifestEntry): void {
    if (partition !== this.#section) {
      this.#section = partition;
      this.#block[this.#used++] = SECTION;
      this.#writePrefixed(partition);
    }
    this.#block[this.#used++] = KIND_BYTES[kind];
    this.#used += this.#block.write(digest, this.#used, 'latin1');
    this.#writePrefixed(id);
    this.#count++;
    if (this.#used >= BLOCK_BYTES) this.#sealBlock();
  }

  /** Writes out the blocks that are full. */
  async flush(): Promise<void> {
    if (this.#unwritten.length === 0) return;
    const bytes = Buffer.concat(this.#unwritten);
    this.#unwritten = [];
    await this.#file.write(bytes);
  }

  /** Completes and syncs the file. */
  async finish(): Promise<void> {
    this.#block[this.#used++] = END;
    this.#used = this.#block.writeUInt32BE(this.#count, this.#used);
    this.#sealBlock();
    await this.flush();
    await this.#file.finish();
  }

  /** Gives the finished file its name. */
  async place(): Promise<void> {
    await this.#file.place();
  }

  async discard(): Promise<void> {
    await this.#file.discard();
  }

  #writePrefixed(text: string): void {
    const bytes = this.#block.write(text, this.#used + PREFIX_BYTES, 'utf8');
    this.#block.writeUInt16BE(bytes, this.#used);
    this.#used += PREFIX_BYTES + bytes;
  }

  #sealBlock(): void {
    const id = blockId(this.#databaseId, this.#id, this.#blocks++);
    const envelope = sealEnvelope(this.#key, id, this.#block.subarray(0, this.#used));
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32BE(envelope.length);
    this.#unwritten.push(length, envelope);
    this.#used = 0;
  }
}

/** Whether a file is a manifest that a holder of the key made for this database: its first block opens. */
export async function isManifestUnder(
  path: string,
  key: VaultKey,
  databaseId: string,
): Promise<boolean> {
  let reader: ManifestReader | undefined;
  try {
    reader = await ManifestReader.open(path, key, databaseId, []);
    await reader.readFirst();
    return true;
  } catch (error) {
    if (error instanceof MigrationError) return false;
    throw error;
  } finally {
    await reader?.close();
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
  readonly #key: RecordKey;
  readonly #databaseId: string;
  readonly #id: string;
  readonly #sections: ReadonlyMap<string, number>;
  #position: number;
  #blocks = 0;
  #entries: ReadEntry[] = [];
  #at = 0;
  #section = '';
  #count = 0;
  #isEnded = false;

  private constructor(
    path: string,
    file: FileHandle,
    key: RecordKey,
    databaseId: string,
    id: string,
    sections: ReadonlyMap<string, number>,
    position: number,
  ) {
    this.#path = path;
    this.#file = file;
    this.#key = key;
    this.#databaseId = databaseId;
    this.#id = id;
    this.#sections = sections;
    this.#position = position;
  }

  /**
   * @param partitions names in the order in which records are read
   * @throws {MigrationError} when there is no manifest, or it is not of this database and key
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
    try {
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(HEADER_MAX_BYTES),
        0,
        HEADER_MAX_BYTES,
        0,
      );
      const line = buffer.toString('utf8', 0, Math.min(bytesRead, buffer.indexOf('\n') + 1));
      const { id } = JSON.parse(line) as { readonly id?: unknown };
      if (typeof id === 'string' && line === headerLine(databaseId, key.id, id)) {
        const sections = new Map(partitions.map((name, i) => [name, i]));
        const recordKey = key.recordKey(KEY_NAME);
        const position = Buffer.byteLength(line);
        return new ManifestReader(path, file, recordKey, databaseId, id, sections, position);
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
   * @throws {MigrationError} when the file is damaged
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

  /** Of a fresh reader. @throws {MigrationError} when the first block does not open */
  async readFirst(): Promise<void> {
    await this.#readBlock();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #refill(): Promise<ReadEntry | undefined> {
    this.#entries = [];
    this.#at = 0;
    while (this.#entries.length === 0 && !this.#isEnded) {
      // oxlint-disable-next-line no-await-in-loop -- block after block
      this.#takeBlock(await this.#readBlock());
    }
    return this.#entries[0];
  }

  async #readBlock(): Promise<Buffer> {
    const length = (await this.#readBytes(LENGTH_BYTES)).readUInt32BE();
    if (length > 2 * BLOCK_MAX_BYTES) throw this.#damaged();
    const envelope = await this.#readBytes(length);
    try {
      return openEnvelope(this.#key, blockId(this.#databaseId, this.#id, this.#blocks++), envelope);
    } catch (error) {
      throw error instanceof EnvelopeNotOpenedError ? this.#damaged() : error;
    }
  }

  async #readBytes(length: number): Promise<Buffer> {
    const { buffer, bytesRead } = await this.#file.read(
      Buffer.allocUnsafe(length),
      0,
      length,
      this.#position,
    );
    if (bytesRead < length) throw this.#damaged();
    this.#position += length;
    return buffer;
  }

  #takeBlock(block: Buffer): void {
    for (let at = 0; at < block.length;) {
      const mark = block[at++];
      if (mark === END) {
        if (block.readUInt32BE(at) !== this.#count) throw this.#damaged();
        this.#isEnded = true;
        return;
      }
      const textAt = at + PREFIX_BYTES + (mark === SECTION ? 0 : HASH_BYTES);
      const end = textAt + block.readUInt16BE(textAt - PREFIX_BYTES);
      const text = block.toString('utf8', textAt, end);
      if (mark === SECTION) {
        this.#section = text;
      } else {
        const digest = block.toString('latin1', at, at + HASH_BYTES);
        const kind = mark === KIND_BYTES.r ? 'r' : 'o';
        this.#entries.push({ section: this.#section, id: text, kind, hash: digest });
        this.#count++;
      }
      at = end;
    }
  }

  #damaged(): MigrationError {
    return new MigrationError(`the manifest ${this.#path} is damaged`);
  }
}
