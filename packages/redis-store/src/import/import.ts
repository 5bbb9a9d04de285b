/**
 * Import in two passes: everything is validated and spooled to a file first; only a complete spool
 * is written to the database, upserts by id, and a start rolls it forward after a crash.
 */
import { join } from 'node:path';
import { removeFiles } from '@vault/crypto/files';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import { OperationRefusedError, StateStaleError } from '../errors.js';
import { entriesWithout } from '../records/filed-entry.js';
import type { FiledEntry } from '../records/filed-entry.js';
import { checkSpool, readSpool } from './import-spool.js';
import type { ImportSpool, SpooledRecord } from './import-spool.js';
import { decodeRecord } from '../records/json-record.js';
import type { MigrationContext } from '../engine/migration-context.js';
import { isRewriting } from '../engine/operation-driver.js';
import { MigrationError } from '../migration-error.js';
import { openingRules } from '../state/opening-rules.js';
import { CALL_MAX_RECORDS, partitionNumber } from '../partitions/partition.js';
import type { Partition, WriteOp, WriteResult } from '../partitions/partition.js';
import type { RecordCodec } from '../records/record-codec.js';
import type { SealContent } from '../state/seal.js';
import { filedCollections } from '../partitions/sealed-definitions.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';

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

/** Under the lock: nobody changes the key any more. @throws {OperationRefusedError} */
export function checkImportable(content: SealContent, spool: ImportSpool): void {
  const { state, keyId } = content;
  if (isRewriting(content)) {
    throw new OperationRefusedError(
      'every record is being rewritten: import again once that has ended',
    );
  }
  if (state !== 'encrypted' && state !== 'plaintext') {
    throw new OperationRefusedError(`the database is ${state}: import again once that has ended`);
  }
  if ((spool.keyId ?? null) !== keyId) {
    throw new OperationRefusedError('the key was changed while the import was read: import again');
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
    const add = codec.entries(content, view.written.key);
    return {
      id,
      expected: current ?? null,
      value: codec.encode(view.written.key, id, json, add),
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
    // It may have gone since the write met it.
    const remove = [...(holder === null ? [] : codec.filedIn(holder)), ...claimed];
    const op = { id: holderId, expected: holder, value: null, add: [], remove };
    await partition.apply(this.#context.keeper.fenceOf(partition), [op]);
  }
}
