/** Export and import of the whole configuration: all records but tokens, readable without our keys. */
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { StoreLogger } from '@vault/redis-store';
import { AdministratorCheck } from './administrator-check.js';
import { checkedDocument } from './checked-document.js';
import { writeDocument } from './document.js';
import { BackupError, refusedError } from './errors.js';
import { importProtection } from './import-protection.js';
import type { ImportProtection } from './import-protection.js';
import { PASSPHRASE_CHARACTERS_MIN } from './limits.js';
import { encryptStream } from './open-pgp.js';
import type { BackupProtection } from './open-pgp.js';
import type {
  BackupDatabase,
  BackupRecord,
  ConfigBackup,
  ExportParams,
  ImportParams,
  ImportResult,
  PreparedExport,
  RecordTarget,
  ReplacedRecord,
} from './port.js';
import { NEVER_IN_BACKUP, readBackup, refusalOf, refusalOfRecords } from './read-backup.js';
import type { ReadBackup } from './read-backup.js';
import { namesOf, RefusedRecords } from './refused-records.js';
import type { RefusedRecord } from './refused-records.js';

export interface ConfigBackupOptions {
  readonly database: BackupDatabase;
  readonly logger: StoreLogger;
  readonly now?: () => Date;
}

/** Records read at once: a bounded batch, large enough that Redis' round trip is not felt. */
const PAGE_RECORDS = 500;

/** What an export of chosen collections is made of; its records may be counted while it runs. */
interface Pass {
  readonly document: AsyncIterable<Uint8Array>;
  readonly leftOut: RefusedRecords;
  readonly records: () => number;
}

/** The config backup of a database. */
export class DatabaseConfigBackup implements ConfigBackup {
  readonly #database: BackupDatabase;
  readonly #logger: StoreLogger;
  readonly #now: () => Date;

  constructor({ database, logger, now = () => new Date() }: ConfigBackupOptions) {
    this.#database = database;
    this.#logger = logger;
    this.#now = now;
  }

  export({ passphrase, ...choice }: ExportParams): PreparedExport {
    checkPassphrase(passphrase);
    return this.exportFor(passphrase === undefined ? undefined : { passphrase }, choice);
  }

  /** As {@link export}, for a passphrase or a public key: what a scheduled export uses. */
  exportFor(
    protection: BackupProtection | undefined,
    { entries, compress: isCompressed = false, skipUnreadable = false }: ExportParams,
  ): PreparedExport {
    const collections = this.#exported(entries);
    this.#checkProtected(protection);
    const createdAt = this.#now();
    const stamp = createdAt.toISOString().replaceAll(/[-:]|\.\d+/g, '');
    const name = `vault-config_${stamp}.json${isCompressed ? '.gz' : ''}`;
    let pass: Pass | undefined;
    return {
      get records() {
        return pass?.records() ?? 0;
      },
      get leftOut() {
        return pass?.leftOut.count ?? 0;
      },
      get leftOutNames() {
        return pass?.leftOut.text ?? '';
      },
      fileName: protection === undefined ? name : `${name}.pgp`,
      contentType: contentType(protection !== undefined, isCompressed),
      open: async () => {
        // The database may have been encrypted since the export was asked for.
        this.#checkProtected(protection);
        // Once without a listener: what cannot be given is told before the first byte, by an answer.
        if (!skipUnreadable) await drain(this.#pass(createdAt, collections, false).document);
        pass = this.#pass(createdAt, collections, skipUnreadable);
        const document = Readable.from(this.#told(pass), { objectMode: false });
        const packed = isCompressed ? pipeTo(document, createGzip()) : document;
        return protection === undefined
          ? packed
          : Readable.from(encryptStream(packed, protection, name), { objectMode: false });
      },
    };
  }

  async import(
    source: Readable,
    params: ImportParams,
    assertStill: () => Promise<void> = () => Promise.resolve(),
  ): Promise<ImportResult> {
    const { dryRun = false } = params;
    const protection = importProtection(params);
    const administrators = new AdministratorCheck(await this.#database.administrators());
    const begun = dryRun ? this.#database.previewImport() : await this.#database.openImport();
    const target: RecordTarget = {
      async add(record) {
        await begun.add(record);
        if (record.collection === 'user') administrators.take(record);
      },
    };
    let read: ReadBackup;
    let refusal: BackupError | undefined;
    try {
      read = await readBackup(source, protection, target);
      refusal = refusalOfRecords(read.refused, params);
      // An upload takes its time.
      administrators.recheck(await this.#database.administrators());
      if (administrators.isLost) refusal ??= new BackupError('BACKUP_NO_ADMINISTRATOR');
      if (refusal !== undefined && !dryRun) throw refusal;
      await assertStill();
    } catch (error) {
      await begun.abort();
      throw error;
    }
    const { refused, missingInBackup } = read;
    const result = {
      ...(await begun.finish()),
      dryRun,
      refused: { count: refused.count, records: refused.named },
      missingInBackup,
      ...(dryRun && { refusal: refusal?.message ?? null }),
    };
    this.#tellImport(result);
    return result;
  }

  #tellImport({ dryRun, records, collections, replaced, refused }: ImportResult): void {
    if (dryRun) {
      this.#logger.info('dry run of an import of a config backup', { records });
      return;
    }
    this.#logger.info('config backup imported', { records, collections });
    if (refused.count > 0) {
      const left = namesOf(refused.count, refused.records);
      this.#logger.warn('the import left out records that cannot be imported', { records: left });
    }
    if (replaced.length > 0) {
      const why = 'the import removed records that had the unique value of an imported one';
      this.#logger.warn(why, { replaced: replaced.map(nameOf) });
    }
  }

  /** Reads a backup as an import does, and takes nothing. @throws {BackupError} */
  readAgain(source: AsyncIterable<Uint8Array>, protection: ImportProtection): Promise<ReadBackup> {
    return readBackup(source, protection, {
      add: async (record) => this.#database.check(record),
    });
  }

  /** @throws {BackupError} naming what can be exported */
  #exported(entries: readonly string[] | undefined): readonly string[] {
    const all = this.#database.collections.filter((name) => !NEVER_IN_BACKUP.has(name));
    const unknown = entries?.filter((name) => !all.includes(name)) ?? [];
    if (unknown.length > 0) {
      throw new BackupError('BACKUP_ENTRY_UNKNOWN', `a backup can hold ${all.join(', ')}`);
    }
    return entries === undefined ? all : all.filter((name) => entries.includes(name));
  }

  #checkProtected(protection: BackupProtection | undefined): void {
    if (protection === undefined && this.#database.isEncrypted()) {
      throw new BackupError('BACKUP_PASSPHRASE_REQUIRED');
    }
  }

  /** One reading of the database, as a document that was read again. */
  #pass(createdAt: Date, collections: readonly string[], isSkipping: boolean): Pass {
    const leftOut = new RefusedRecords();
    let records = 0;
    const counted = async function* (source: AsyncIterable<BackupRecord>) {
      for await (const record of source) {
        records += 1;
        yield record;
      }
    };
    const entries = collections.map(
      (each) => [each, counted(this.#recordsOf(each, leftOut))] as const,
    );
    const written = writeDocument(createdAt, entries, isSkipping ? leftOut : new RefusedRecords());
    const target = { add: async (record: BackupRecord) => this.#database.check(record) };
    const document = checkedDocument(written, target, () => records);
    return {
      document: isSkipping ? document : complete(document, leftOut),
      leftOut,
      records: () => records,
    };
  }

  /** The document of a pass; what is left out goes to the log. */
  async *#told({ document, leftOut }: Pass): AsyncGenerator<Uint8Array> {
    yield* document;
    if (leftOut.count === 0) return;
    this.#logger.error('records are missing in the exported backup', { records: leftOut.text });
  }

  /** All records of a collection in the order of ids. What cannot be given goes to `leftOut`. */
  async *#recordsOf(collection: string, leftOut: RefusedRecords): AsyncGenerator<BackupRecord> {
    const target = { add: async (record: BackupRecord) => this.#database.check(record) };
    let after: string | undefined;
    do {
      // oxlint-disable no-await-in-loop -- a page begins where the one before ended
      const page = await this.#database
        .collection(collection)
        .list({ limit: PAGE_RECORDS, ...(after !== undefined && { after }) });
      for (const error of page.unreadable) leftOut.add(unreadableRecord(collection, error));
      for (const { id, record } of page.records) {
        const refusal = await refusalOf({ collection, id, record }, target);
        if (refusal === undefined) yield { collection, id, record };
        else leftOut.add(refusal);
      }
      // oxlint-enable no-await-in-loop
      after = page.next;
    } while (after !== undefined);
  }
}

/** A document that ends in an error where something is missing: before its last piece, so that it is never whole. */
async function* complete(
  document: AsyncIterable<Uint8Array>,
  leftOut: RefusedRecords,
): AsyncGenerator<Uint8Array> {
  let last: Uint8Array | undefined;
  for await (const piece of document) {
    if (last !== undefined) yield last;
    last = piece;
  }
  if (leftOut.count > 0) throw refusedError('BACKUP_INCOMPLETE', leftOut);
  if (last !== undefined) yield last;
}

function unreadableRecord(collection: string, error: Error): RefusedRecord {
  const id = 'id' in error && typeof error.id === 'string' ? error.id : '?';
  return { collection, id, reason: 'cannot be read: run vault-server verify' };
}

/** Reads a document for its errors. */
async function drain(document: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of document);
}

function nameOf({ collection, id }: ReplacedRecord): string {
  return `${collection} ${id}`;
}

/** What a client is shown after an import. */
export function importText(result: ImportResult): string {
  const { records, replaced, refused, missingInBackup } = result;
  const lines = [`config successfully imported: ${records} records`];
  if (refused.count > 0) {
    lines.push(`left out, ${refused.count}: ${namesOf(refused.count, refused.records)}`);
  }
  if (missingInBackup > 0) {
    lines.push(`the backup itself lacks ${missingInBackup} records that could not be exported`);
  }
  if (replaced.length > 0) {
    const names = replaced.map(nameOf).join(', ');
    lines.push(`removed, since an imported record has the same unique value: ${names}`);
  }
  return `${lines.join('\n')}\n`;
}

function checkPassphrase(passphrase: string | undefined): void {
  if (passphrase !== undefined && Array.from(passphrase).length < PASSPHRASE_CHARACTERS_MIN) {
    throw new BackupError('BACKUP_PASSPHRASE_TOO_SHORT');
  }
}

function contentType(isProtected: boolean, isCompressed: boolean): string {
  if (isProtected) return 'application/pgp-encrypted';
  return isCompressed ? 'application/gzip' : 'application/json';
}

/** `pipe` that hands on an error of the source and stops the source with the target. */
function pipeTo<Target extends Readable & NodeJS.WritableStream>(
  source: Readable,
  target: Target,
): Target {
  // It may fail before anybody reads the target: who does so later gets the error all the same.
  target.on('error', () => undefined);
  source.once('error', (error) => target.destroy(error));
  target.once('close', () => source.destroy());
  return source.pipe(target);
}
