/**
 * The file that an import is collected in: one line a record, `<collection> <id> <base64>`: the envelope
 * under the active key, or in a plaintext database the JSON; then `end <number of records> <SHA-256 of
 * all lines before>`.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { KeyId, VaultKey } from '@vault/crypto';
import { holdFile, processMark, releaseFile, removeFiles, syncFolder } from '@vault/crypto/files';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import type { CredentialRecord } from '../records/json-record.js';
import { MigrationError } from '../migration-error.js';
import { RecordCodec } from '../records/record-codec.js';
import { checkRecord } from '../records/record-check.js';
import { DATA_FOLDER } from '../files/data-folder.js';

const SPOOL_MODE = 0o600;
const FLUSH_LINES = 500;

/** Collects the records of one import; nothing of it is in the database yet. */
export class ImportSpool {
  /** Name of the file in the data folder. */
  readonly name: string;
  readonly #dataDir: string;
  readonly #definitions: CollectionDefinitions;
  readonly #key: VaultKey | undefined;
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  #lines: string[] = [];
  #count = 0;
  #isFinished = false;

  private constructor(
    dataDir: string,
    name: string,
    definitions: CollectionDefinitions,
    key: VaultKey | undefined,
    file: FileHandle,
  ) {
    this.#dataDir = dataDir;
    this.name = name;
    this.#definitions = definitions;
    this.#key = key;
    this.#file = file;
  }

  /** @param key spooled records are encrypted under it; `undefined` in a plaintext database */
  static async create(
    dataDir: string,
    definitions: CollectionDefinitions,
    key: VaultKey | undefined,
  ): Promise<ImportSpool> {
    const name = `${DATA_FOLDER.spool.name}${processMark()}.spool`;
    const file = await open(join(dataDir, name), 'wx', SPOOL_MODE);
    holdFile(join(dataDir, name));
    return new ImportSpool(dataDir, name, definitions, key, file);
  }

  /** Key that the spooled records are under; `undefined` in a plaintext database. */
  get keyId(): KeyId | undefined {
    return this.#key?.id;
  }

  /** Records taken so far. */
  get count(): number {
    return this.#count;
  }

  /** @throws {RecordInvalidError} for an unknown collection, a bad id, or a record that does not fit */
  async add(collection: string, id: string, record: CredentialRecord): Promise<void> {
    const { definition, json } = checkRecord(this.#definitions, collection, id, record);
    const stored = new RecordCodec(collection, definition).encode(this.#key, id, json, []);
    this.#lines.push(`${collection} ${id} ${stored.toString('base64')}`);
    this.#count++;
    if (this.#lines.length >= FLUSH_LINES) await this.#flush();
  }

  /** Completes and syncs the file. */
  async finish(): Promise<void> {
    if (this.#isFinished) return;
    await this.#flush();
    await this.#file.writeFile(`end ${this.#count} ${this.#hash.digest('hex')}\n`);
    await this.#file.sync();
    await this.#file.close();
    await syncFolder(this.#dataDir);
    this.#isFinished = true;
  }

  /** Gives the import up. */
  async abort(): Promise<void> {
    if (!this.#isFinished) await this.#file.close();
    this.#isFinished = true;
    await removeFiles(this.#dataDir, [this.name]);
    this.release();
  }

  /** Says that this process needs the file no more: where the seal does not name it, the next start removes it. */
  release(): void {
    releaseFile(join(this.#dataDir, this.name));
  }

  async #flush(): Promise<void> {
    if (this.#lines.length === 0) return;
    const text = `${this.#lines.join('\n')}\n`;
    this.#lines = [];
    this.#hash.update(text);
    await this.#file.writeFile(text);
  }
}

export interface SpooledRecord {
  readonly collection: string;
  readonly id: string;
  readonly stored: Buffer;
}

/** Counts the records of a spool. @throws {MigrationError} when it is not whole: before its first record is given out */
export async function checkSpool(path: string): Promise<number> {
  const hash = createHash('sha256');
  let count = 0;
  for await (const line of linesOf(path)) {
    const [first, expected, digest] = line.split(' ', 3);
    if (first === 'end' && Number(expected) === count && digest === hash.digest('hex'))
      return count;
    hash.update(`${line}\n`);
    count++;
  }
  throw new MigrationError(`the spool ${path} of an import is damaged`);
}

function linesOf(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Infinity });
}

/** The records of a spool that {@link checkSpool} counted. */
export async function* readSpool(path: string, count: number): AsyncGenerator<SpooledRecord> {
  let read = 0;
  for await (const line of linesOf(path)) {
    if (read++ === count) return;
    const [collection = '', id = '', base64 = ''] = line.split(' ', 3);
    yield { collection, id, stored: Buffer.from(base64, 'base64') };
  }
}
