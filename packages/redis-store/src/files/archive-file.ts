/**
 * The file that holds a database that was put aside: each key of ours as Redis' own `DUMP`.
 *
 * ```
 * {"format":"vault-database-archive","version":1,"prefix":"vault","createdAt":"2026-11-22T07:00:00.000Z"}
 * {"key":"vault:{server}:r:…","dump":"<base64>"}                       one line a key
 * {"end":{"keys":1234,"plaintextRecords":0,"sha256":"<hex, of all lines before>"}}
 * ```
 *
 * What is encrypted stays encrypted in it, and what is plaintext is so in it too: its end says how many records are.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, open, readdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NewFile, removeFiles } from '@vault/crypto/files';
import { isMissingFile } from '../error-message.js';
import { MigrationError } from '../migration-error.js';
import { DATA_FOLDER, isBecoming } from './data-folder.js';

const FORMAT = 'vault-database-archive';
const VERSION = 1;
const ARCHIVE_MODE = 0o400;

/** One key of Redis with its value, serialized by Redis. */
export interface ArchivedKey {
  readonly key: string;
  readonly dump: Buffer;
  /** Of a record that is not an envelope; told to {@link ArchiveWriter.add}, and only its number is in the file. */
  readonly isPlaintext?: boolean;
}

/** What the last line says of all others. */
interface ArchiveEnd {
  readonly keys: number;
  readonly plaintextRecords: number;
  readonly sha256: string;
}

interface ArchiveLine {
  readonly format?: string;
  readonly version?: number;
  readonly prefix?: string;
  readonly key?: string;
  readonly dump?: string;
  readonly end?: ArchiveEnd;
}

/** Writes an archive under a temporary name; {@link finish} gives it its own. */
export class ArchiveWriter {
  /** Keys written. */
  keys = 0;
  #plaintextRecords = 0;
  readonly #file: NewFile;
  readonly #hash = createHash('sha256');
  #lines = '';

  private constructor(file: NewFile) {
    this.#file = file;
  }

  static async create(dataDir: string, prefix: string, createdAt: Date): Promise<ArchiveWriter> {
    const path = await freePath(dataDir, createdAt);
    const writer = new ArchiveWriter(await NewFile.create(path, { mode: ARCHIVE_MODE }));
    writer.#line({ format: FORMAT, version: VERSION, prefix, createdAt: createdAt.toISOString() });
    return writer;
  }

  /** Takes a key; {@link flush} writes what was taken. */
  add({ key, dump, isPlaintext = false }: ArchivedKey): void {
    this.#line({ key, dump: dump.toString('base64') });
    this.keys++;
    if (isPlaintext) this.#plaintextRecords++;
  }

  async flush(): Promise<void> {
    await this.#file.write(this.#lines);
    this.#lines = '';
  }

  /**
   * Completes the file, syncs it and reads it back.
   * @returns its path; `undefined` when no key was written, and there is no file
   * @throws {MigrationError} when it does not read back
   */
  async finish(): Promise<string | undefined> {
    if (this.keys === 0) {
      await this.abort();
      return undefined;
    }
    const sha256 = this.#hash.copy().digest('hex');
    const end: ArchiveEnd = { keys: this.keys, plaintextRecords: this.#plaintextRecords, sha256 };
    this.#lines += `${JSON.stringify({ end })}\n`;
    await this.flush();
    await this.#file.finish();
    await checkArchive(this.#file.temporaryPath);
    await this.#file.place();
    return this.#file.path;
  }

  async abort(): Promise<void> {
    await this.#file.discard();
  }

  #line(content: object): void {
    const line = `${JSON.stringify(content)}\n`;
    this.#hash.update(line);
    this.#lines += line;
  }
}

/**
 * Reads an archive to its end before anybody uses it.
 * @returns prefix, number of keys, and the digest by which {@link readArchive} knows it again
 * @throws {MigrationError} when it is no archive, or not a whole and unaltered one
 */
export async function checkArchive(
  path: string,
): Promise<{ prefix: string; keys: number; sha256: string }> {
  const hash = createHash('sha256');
  let prefix: string | undefined;
  let keys = 0;
  for await (const { text, line } of linesOf(path)) {
    if (prefix === undefined) {
      if (line.format !== FORMAT || line.version !== VERSION) break;
      prefix = line.prefix ?? '';
    }
    const { end } = line;
    if (end !== undefined) {
      const sha256 = hash.digest('hex');
      if (end.keys !== keys || end.sha256 !== sha256) break;
      return { prefix, keys, sha256 };
    }
    hash.update(`${text}\n`);
    if (line.key !== undefined) keys++;
  }
  throw new MigrationError(`${path} is not a whole and unaltered archive of a database`);
}

/** Longer than any last line is. */
const END_LINE_BYTES = 1024;

/** How many records an archive holds in plaintext, by its last line; `undefined` where that cannot be read. */
export async function plaintextRecordsIn(path: string): Promise<number | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const { size } = await file.stat();
    const length = Math.min(size, END_LINE_BYTES);
    const tail = Buffer.alloc(length);
    await file.read(tail, 0, length, size - length);
    const [last = ''] = tail.toString().trimEnd().split('\n').slice(-1);
    return (JSON.parse(last) as ArchiveLine).end?.plaintextRecords;
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}

/** What {@link ArchiveWriter} leaves behind when its process is killed. */
const isUnfinished = (name: string): boolean => isBecoming('archive', name);

/** Removes files of archives that were never finished; only the holder of the lock knows that nobody writes one. */
export async function removeUnfinishedArchives(dataDir: string): Promise<void> {
  const names = await readdir(dataDir);
  await removeFiles(dataDir, names.filter(isUnfinished));
}

/**
 * All keys of an archive that was checked, in the order in which they were written.
 * @param sha256 as the check found it: the file is read again, and may be another one by now
 * @throws {MigrationError} at its end, where it is
 */
export async function* readArchive(path: string, sha256?: string): AsyncGenerator<ArchivedKey> {
  const hash = createHash('sha256');
  for await (const { text, line } of linesOf(path)) {
    const { key, dump = '', end } = line;
    if (end !== undefined) break;
    hash.update(`${text}\n`);
    if (key !== undefined) yield { key, dump: Buffer.from(dump, 'base64') };
  }
  if (sha256 !== undefined && hash.digest('hex') !== sha256) {
    throw new MigrationError(`${path} was changed while it was read`);
  }
}

async function* linesOf(path: string): AsyncGenerator<{ text: string; line: ArchiveLine }> {
  for await (const text of createInterface({
    input: createReadStream(path),
    crlfDelay: Infinity,
  })) {
    let line: unknown;
    try {
      line = JSON.parse(text);
    } catch {
      line = undefined;
    }
    yield { text, line: typeof line === 'object' && line !== null ? line : {} };
  }
}

/** `archived-database_20261122T070000Z.jsonl`, or with `_1`, `_2`, … where that is taken. */
async function freePath(dataDir: string, createdAt: Date): Promise<string> {
  const stamp = createdAt.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  for (let n = 0; ; n++) {
    const path = join(
      dataDir,
      `${DATA_FOLDER.archive.name}${stamp}${n === 0 ? '' : `_${n}`}.jsonl`,
    );
    try {
      // oxlint-disable-next-line no-await-in-loop -- the first free one
      await access(path);
    } catch (error) {
      if (isMissingFile(error)) return path;
      throw error;
    }
  }
}
