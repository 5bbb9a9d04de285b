/**
 * Import in two passes: everything is validated and spooled to a file first; only a complete spool
 * is written to the database, upserts by id, and a start rolls it forward after a crash.
 *
 * The spool holds one line a record, `<collection> <id> <base64>`: the envelope under the active key,
 * or in a plaintext database the JSON; then `end <number of records> <SHA-256 of all lines before>`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { KeyId, VaultKey } from '@vault/crypto';
import type { CollectionDefinitions } from './collection-definition.js';
import { StateStaleError } from './errors.js';
import { entriesWithout } from './filed-entry.js';
import type { FiledEntry } from './filed-entry.js';
import { holdFile, releaseFile, removeFiles, syncFolder } from './durable-file.js';
import { decodeRecord } from './json-record.js';
import type { CredentialRecord } from './json-record.js';
import type { MigrationContext } from './migration/migration-context.js';
import { MigrationError } from './migration/migration-error.js';
import { openingRules } from './opening-rules.js';
import { CALL_MAX_RECORDS, partitionNumber } from './partition.js';
import type { Partition, WriteOp, WriteResult } from './partition.js';
import { RecordCodec } from './record-codec.js';
import { checkRecord } from './record-check.js';
import { filedCollections } from './sealed-definitions.js';
import type { FiledCollection } from './sealed-definitions.js';

const SPOOL_MODE = 0o600;
const FLUSH_LINES = 500;
const ATTEMPTS_MAX = 20;

/** What an import did. */
export interface ImportReport {
  readonly records: number;
  /** Records by collection. */
  readonly collections: Readonly<Record<string, number>>;
  /** Of them, those whose id was not there. */
  readonly added: number;
  /** Those that were there with other content, or could not be read. */
  readonly changed: number;
  /** Those that were there already with the same content. */
  readonly unchanged: number;
  /** Records that are gone, since an imported one has the same value in a unique index. */
  readonly replaced: readonly { readonly collection: string; readonly id: string }[];
}

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
    const name = `import-${process.pid}-${randomUUID()}.spool`;
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

interface SpooledRecord {
  readonly collection: string;
  readonly id: string;
  readonly stored: Buffer;
}

/** @throws {MigrationError} when the spool is not whole: before its first record is given out */
async function checkSpool(path: string): Promise<number> {
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

async function* readSpool(path: string, count: number): AsyncGenerator<SpooledRecord> {
  let read = 0;
  for await (const line of linesOf(path)) {
    if (read++ === count) return;
    const [collection = '', id = '', base64 = ''] = line.split(' ', 3);
    yield { collection, id, stored: Buffer.from(base64, 'base64') };
  }
}

/** Writes the import that the seal names to its end, under the lock. */
export async function rollImportForward(
  context: MigrationContext,
  definitions: CollectionDefinitions,
): Promise<ImportReport> {
  const { keeper, lock, dataDir } = context;
  const { importing } = keeper.content;
  if (importing === null) throw new TypeError('no import is under way');
  // A crash between seal and fences leaves partitions at the epoch before the import.
  await keeper.raiseFences();
  const path = join(dataDir, importing.spool);
  const total = await checkSpool(path);
  const importer = new Importer(context, definitions);
  let batch: SpooledRecord[] = [];
  for await (const spooled of readSpool(path, total)) {
    batch.push(spooled);
    if (batch.length < CALL_MAX_RECORDS) continue;
    await importer.write(batch);
    batch = [];
    context.progress('import', importer.records, total);
    await context.step('import-batch');
  }
  await importer.write(batch);
  context.progress('import', total, total);
  await context.step('import-written');
  await keeper.change(lock, { importing: null });
  await context.step('import-sealed');
  await removeFiles(dataDir, [importing.spool]);
  return importer.report();
}

interface Place {
  readonly filed: FiledCollection;
  readonly partition: Partition;
}

type Outcome = 'added' | 'changed' | 'unchanged';

const outcomeOf = ({ expected }: WriteOp): Outcome => (expected === null ? 'added' : 'changed');
const placeName = (at: { readonly collection: string; readonly id: string }): string =>
  `${at.collection} ${at.id}`;
const alone = (record: SpooledRecord): SpooledRecord[] => [record];

class Importer {
  readonly #context: MigrationContext;
  readonly #collections: ReadonlyMap<string, FiledCollection>;
  readonly #counts: Record<string, number> = {};
  readonly #replaced = new Map<string, { readonly collection: string; readonly id: string }>();
  readonly #outcomes = { added: 0, changed: 0, unchanged: 0 };
  records = 0;

  constructor(context: MigrationContext, definitions: CollectionDefinitions) {
    this.#context = context;
    this.#collections = new Map(
      filedCollections(context.link, definitions).map((filed) => [filed.name, filed]),
    );
  }

  async write(batch: readonly SpooledRecord[]): Promise<void> {
    this.#context.lock.check();
    // One record twice in a backup: the last one counts, so those before it must be through.
    const ids = new Set(batch.map(({ collection, id }) => `${collection} ${id}`));
    const groups = ids.size === batch.length ? this.#grouped(batch) : batch.map(alone);
    for (const group of groups) {
      // oxlint-disable no-await-in-loop -- one call after the other
      const left = await this.#upsertTogether(group);
      for (const record of left) await this.#upsert(record);
      // oxlint-enable no-await-in-loop
    }
  }

  /** Those of one partition together. */
  #grouped(batch: readonly SpooledRecord[]): SpooledRecord[][] {
    const groups = new Map<string, SpooledRecord[]>();
    for (const record of batch) {
      const { name } = this.#placeOf(record).partition;
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [record]);
      else group.push(record);
    }
    return [...groups.values()];
  }

  report(): ImportReport {
    return {
      records: this.records,
      collections: this.#counts,
      ...this.#outcomes,
      replaced: [...this.#replaced.values()],
    };
  }

  #placeOf({ collection, id }: SpooledRecord): Place {
    const filed = this.#collections.get(collection);
    if (filed === undefined) {
      throw new MigrationError(`the import has records of "${collection}", which is gone`);
    }
    const partition = filed.partitions[partitionNumber(id, filed.partitions.length)];
    if (partition === undefined) throw new TypeError('no partition');
    return { filed, partition };
  }

  async #upsert(record: SpooledRecord): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      // oxlint-disable-next-line no-await-in-loop -- each attempt follows the failure of the one before
      if (await this.#tryUpsert(record)) return;
    }
    throw new MigrationError(`${record.collection} ${record.id} changes all the time`);
  }

  /** Records of one partition, each once. @returns those that are to be looked at one by one */
  async #upsertTogether(records: readonly SpooledRecord[]): Promise<readonly SpooledRecord[]> {
    const [first] = records;
    if (first === undefined) return [];
    const { filed, partition } = this.#placeOf(first);
    const current = await partition.readMany(records.map(({ id }) => id));
    const planned = records.flatMap((record, i) => {
      const op = this.#plan(filed, record, current[i]);
      return op === undefined ? [] : [{ record, op }];
    });
    let results: readonly WriteResult[] = [];
    try {
      const { keeper } = this.#context;
      results = await partition.apply(
        keeper.fenceOf(partition),
        planned.map(({ op }) => op),
      );
    } catch (error) {
      if (!(error instanceof StateStaleError)) throw error;
      // Each of them asks for the new view, and finds what was written before.
    }
    const left: SpooledRecord[] = [];
    planned.forEach(({ record, op }, i) => {
      if (results[i]?.status === 'done') this.#count(record, outcomeOf(op));
      else left.push(record);
    });
    return left;
  }

  /** @returns `false` when somebody else wrote meanwhile */
  async #tryUpsert(record: SpooledRecord): Promise<boolean> {
    const { keeper } = this.#context;
    const { filed, partition } = this.#placeOf(record);
    const op = this.#plan(filed, record, await partition.read(record.id));
    if (op === undefined) return true;
    try {
      const [result] = await partition.apply(keeper.fenceOf(partition), [op]);
      if (result?.status === 'unique') {
        await this.#makeWay(filed.codec, partition, result.holderId, op.add);
        const replaced = { collection: filed.name, id: result.holderId };
        this.#replaced.set(placeName(replaced), replaced);
      }
      if (result?.status === 'done') this.#count(record, outcomeOf(op));
      return result?.status === 'done';
    } catch (error) {
      if (!(error instanceof StateStaleError)) throw error;
      await keeper.reload('an import met another fence');
      return false;
    }
  }

  /** @returns `undefined` where the record is so already, and was counted */
  #plan(
    { codec, name }: FiledCollection,
    record: SpooledRecord,
    current: Buffer | undefined,
  ): WriteOp | undefined {
    const { id, stored } = record;
    const view = this.#context.keeper.current();
    const json = codec.open(openingRules(view), id, stored);
    const content = decodeRecord(json);
    if (content === undefined) throw new MigrationError(`${name} ${id} in the spool is no record`);
    if (current !== undefined && this.#isSame(codec, id, current, json)) {
      this.#count(record, 'unchanged');
      return undefined;
    }
    const add = codec.entries(content, view.activeKey);
    return {
      id,
      expected: current ?? null,
      value: codec.encode(view.activeKey, id, json, add),
      add,
      remove: current === undefined ? [] : entriesWithout(codec.filedIn(current), add),
    };
  }

  #count(record: SpooledRecord, outcome: Outcome): void {
    const { collection } = record;
    this.records++;
    this.#counts[collection] = (this.#counts[collection] ?? 0) + 1;
    this.#outcomes[outcome]++;
    // One that had to go and comes later in the same backup is there again.
    this.#replaced.delete(placeName(record));
  }

  #isSame(codec: RecordCodec, id: string, current: Buffer, json: Buffer): boolean {
    try {
      return codec.open(openingRules(this.#context.keeper.current()), id, current).equals(json);
    } catch {
      // What cannot be read is replaced by what can.
      return false;
    }
  }

  /** The imported record wins a unique value; the other one is removed, and named in the report. */
  async #makeWay(
    codec: RecordCodec,
    partition: Partition,
    holderId: string,
    claimed: readonly FiledEntry[],
  ): Promise<void> {
    const holder = (await partition.read(holderId)) ?? null;
    // An entry that points at no record is in the way all the same.
    const remove = [...(holder === null ? [] : codec.filedIn(holder)), ...claimed];
    const op = { id: holderId, expected: holder, value: null, add: [], remove };
    await partition.apply(this.#context.keeper.fenceOf(partition), [op]);
  }
}
