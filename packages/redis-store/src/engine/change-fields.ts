/**
 * A change of the fields in the configuration. Records that hold what it no longer has could be
 * neither changed nor exported: the start is refused, by collection, field and number, or the values
 * are dropped where the collection says `dropFields`. Before that each record that loses a value is
 * written to a file just as it is stored; a start that was killed drops the rest.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import { DegradedError, RecordUnreadableError } from '../errors.js';
import { FIELD_CONFLICTS, fieldConflicts } from '../records/field-conflicts.js';
import type { FieldConflict, FieldConflictKind } from '../records/field-conflicts.js';
import { canonicalFields, fieldChanges } from '../records/field-definitions.js';
import type { FieldChange } from '../records/field-definitions.js';
import { entriesWithout } from '../records/filed-entry.js';
import { decodeRecord } from '../records/json-record.js';
import type { CredentialRecord } from '../records/json-record.js';
import { openingRules } from '../state/opening-rules.js';
import type { WriteOp } from '../partitions/partition.js';
import { backupHead, backupLine, BackupWriter } from './backup.js';
import { freeFileName } from '../files/free-file-name.js';
import type { MigrationContext } from './migration-context.js';
import { MigrationError } from '../migration-error.js';
import { countRecords, readRecords } from '../partitions/record-stream.js';
import type { RecordBatch } from '../partitions/record-stream.js';
import { DATA_FOLDER } from '../files/data-folder.js';

/** Another process may write under the old fields meanwhile. */
const ATTEMPTS_MAX = 5;

/** A record that does not fit. */
interface Misfit {
  readonly id: string;
  readonly stored: Buffer;
  readonly record: CredentialRecord;
  readonly conflicts: readonly FieldConflict[];
}

/** How many records of a collection contradict a field in one way. */
interface ConflictCount {
  readonly collection: string;
  readonly field: string;
  readonly kind: FieldConflictKind;
  readonly isDropped: boolean;
  records: number;
}

/**
 * Brings records and seal to the fields of the configuration, under the lock.
 * @throws {DegradedError} naming what records hold and the configuration has not
 */
export async function changeFields(
  context: MigrationContext,
  definitions: CollectionDefinitions,
): Promise<void> {
  const { keeper, lock } = context;
  const target = canonicalFields(definitions);
  const { doubtful, changed } = fieldChanges(keeper.content.fields, target);
  const looking = new MisfitSearch(context, definitions, doubtful);
  for (let attempt = 0; ; attempt++) {
    // oxlint-disable no-await-in-loop -- again until nothing is left
    const counts = await looking.count();
    refuse(counts);
    if (counts.length === 0) break;
    if (attempt === ATTEMPTS_MAX) {
      throw new MigrationError('another process goes on writing fields that are to be dropped');
    }
    const { path, written } = await backUp(context, looking);
    await context.step('fields-backed-up');
    await drop(context, looking, written);
    await context.step('fields-dropped');
    const fields = counts.map(
      ({ collection, field, records }) => `${collection}.${field}: ${records}`,
    );
    context.logger.warn('Fields that the configuration has no more were dropped from records', {
      fields,
      backup: path,
    });
    // oxlint-enable no-await-in-loop
  }
  await keeper.change(lock, { fields: target });
  warnOfShown(context, changed);
}

/** Reads the records of collections whose fields changed. */
class MisfitSearch {
  readonly #context: MigrationContext;
  readonly #definitions: CollectionDefinitions;
  readonly #collections: readonly string[];

  constructor(
    context: MigrationContext,
    definitions: CollectionDefinitions,
    collections: readonly string[],
  ) {
    this.#context = context;
    this.#definitions = definitions;
    this.#collections = collections;
  }

  async count(): Promise<readonly ConflictCount[]> {
    const counts = new Map<string, ConflictCount>();
    for await (const { batch, misfits } of this.batches()) {
      const collection = batch.collection.name;
      for (const { conflicts } of misfits) {
        for (const { field, kind, canBeDropped } of conflicts) {
          const isDropped = canBeDropped && this.#definitions[collection]?.dropFields === true;
          const key = `${collection} ${field} ${kind}`;
          const count = counts.get(key) ?? { collection, field, kind, isDropped, records: 0 };
          count.records++;
          counts.set(key, count);
        }
      }
    }
    return [...counts.values()];
  }

  async *batches(): AsyncGenerator<{ batch: RecordBatch; misfits: readonly Misfit[] }> {
    const { keeper, lock, ...context } = this.#context;
    const filed = keeper.filed().filter(({ name }) => this.#collections.includes(name));
    if (filed.length === 0) return;
    const total = await countRecords(filed);
    let done = 0;
    for await (const batch of readRecords(filed)) {
      yield { batch, misfits: this.#misfits(batch) };
      done += batch.ids.length;
      context.progress('fields', done, total);
      lock.check();
    }
  }

  #misfits({ collection, ids, values }: RecordBatch): Misfit[] {
    const definition = this.#definitions[collection.name];
    if (definition === undefined) return [];
    const rules = openingRules(this.#context.keeper.current());
    return ids.flatMap((id, i) => {
      const stored = values[i];
      if (stored === undefined) return [];
      try {
        const record = decodeRecord(collection.codec.open(rules, id, stored));
        const conflicts = record === undefined ? [] : fieldConflicts(definition, record);
        return record === undefined || conflicts.length === 0
          ? []
          : [{ id, stored, record, conflicts }];
      } catch (error) {
        // What cannot be read is told by verify, and stays as it is.
        if (error instanceof RecordUnreadableError) return [];
        throw error;
      }
    });
  }
}

/** @throws {DegradedError} for what is not to be dropped */
function refuse(counts: readonly ConflictCount[]): void {
  const kept = counts.filter(({ isDropped }) => !isDropped);
  if (kept.length === 0) return;
  const what = kept.map(
    ({ collection, field, kind, records }) =>
      `in ${records} of "${collection}" the field "${field}" ${FIELD_CONFLICTS[kind]}`,
  );
  const collections = [...new Set(kept.map(({ collection }) => `[collections.${collection}]`))];
  throw new DegradedError('startFailed', {
    cause: `records do not fit the collections of the configuration: ${what.join('; ')}`,
    advice: `put the fields back as they were, or say dropFields = true in ${collections.join(', ')}: the values are kept in a file, then dropped; a field that is required cannot be dropped`,
  });
}

/** What a file holds: see {@link contentOf}. */
interface FieldBackup {
  readonly path: string;
  readonly written: ReadonlySet<string>;
}

/** SHA-256 of a record as it is stored, and where: a few bytes a record, whatever its size. */
function contentOf(collection: string, { id, stored }: Misfit): string {
  const name = `${collection}\0${id}\0`;
  return createHash('sha256').update(name).update(stored).digest('base64');
}

/** Every record that loses a value, as it is stored: an envelope stays one. */
async function backUp(context: MigrationContext, looking: MisfitSearch): Promise<FieldBackup> {
  const { dataDir, protection, keeper } = context;
  const { databaseId, keyId } = keeper.content;
  const of = keyId === null ? 'plaintext' : 'encrypted';
  const protecting = of === 'plaintext' ? protection : undefined;
  const name = await freeFileName(
    dataDir,
    DATA_FOLDER.droppedFields.name,
    `.json${protecting?.ending ?? ''}`,
  );
  const path = join(dataDir, name);
  const writer = await BackupWriter.create(path, protecting);
  const written = new Set<string>();
  try {
    await writer.write(backupHead(databaseId, of));
    let isFirst = true;
    for await (const { batch, misfits } of looking.batches()) {
      const lines = misfits.map(({ id, stored }) => backupLine(batch.collection.name, id, stored));
      if (lines.length > 0) await writer.write((isFirst ? '' : ',\n') + lines.join(',\n'));
      isFirst = isFirst && lines.length === 0;
      for (const misfit of misfits) written.add(contentOf(batch.collection.name, misfit));
    }
    await writer.write('\n]}\n');
    await writer.finish();
    await writer.place();
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return { path, written };
}

/** @param written what the file holds: nothing else loses a value */
async function drop(
  context: MigrationContext,
  looking: MisfitSearch,
  written: ReadonlySet<string>,
): Promise<void> {
  const { keeper } = context;
  const { key } = keeper.current().written;
  for await (const { batch, misfits } of looking.batches()) {
    const { codec } = batch.collection;
    // One that was added or changed since is found when all are looked at again, and gets a file of its own.
    const kept = misfits.filter((misfit) => written.has(contentOf(batch.collection.name, misfit)));
    const ops = kept.map(({ id, stored, record, conflicts }): WriteOp => {
      const dropped = new Set(conflicts.map(({ field }) => field));
      const left = Object.fromEntries(
        Object.entries(record).filter(([field]) => !dropped.has(field)),
      );
      const add = codec.entries(left, key);
      return {
        id,
        expected: stored,
        value: codec.encode(key, id, Buffer.from(JSON.stringify(left)), add),
        add,
        remove: entriesWithout(codec.filedIn(stored), add),
        mayRepeat: true,
      };
    });
    await batch.partition.apply(keeper.fenceOf(batch.partition), ops);
    await context.step('fields-batch');
  }
}

/** What was masked is given to everybody who may read. */
function warnOfShown({ logger }: MigrationContext, changed: readonly FieldChange[]): void {
  const shown = changed.filter(({ wasSecret, isClear }) => wasSecret && isClear);
  if (shown.length === 0) return;
  logger.warn('Fields that were secret are shown to everybody who may read, from now on', {
    fields: shown.map(({ collection, field }) => `${collection}.${field}`),
  });
}
