/** Export and import of the whole configuration: all records but tokens, readable without our keys. */
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { RecordInvalidError } from '@vault/redis-store';
import type { StoreLogger } from '@vault/redis-store';
import { openContainer } from './container.js';
import { writeDocument } from './document.js';
import { readDocument } from './document-reader.js';
import { BackupError } from './errors.js';
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
  ReplacedRecord,
} from './port.js';

export interface ConfigBackupOptions {
  readonly database: BackupDatabase;
  readonly logger: StoreLogger;
  readonly now?: () => Date;
}

/** A bearer token outlives the person who made a backup; who restores one signs in again. */
const NEVER_EXPORTED: ReadonlySet<string> = new Set(['token']);
/** Records read at once: a bounded batch, large enough that Redis' round trip is not felt. */
const PAGE_RECORDS = 500;

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
    let leftOut = 0;
    const leaveOut = (collection: string, cause: Error): void => {
      leftOut += 1;
      const incomplete = new BackupError('BACKUP_INCOMPLETE', `collection ${collection}`);
      if (!skipUnreadable) {
        this.#logger.error(`the export was given up: ${incomplete.message}`, { cause });
        throw incomplete;
      }
      this.#logger.error('a record is missing in the exported backup', { cause });
    };
    return {
      get leftOut() {
        return leftOut;
      },
      fileName: protection === undefined ? name : `${name}.pgp`,
      contentType: contentType(protection !== undefined, isCompressed),
      open: () => {
        // The database may have been encrypted since the export was asked for.
        this.#checkProtected(protection);
        const records = collections.map((each) => [each, this.#recordsOf(each, leaveOut)] as const);
        const document = Readable.from(writeDocument(createdAt, records), { objectMode: false });
        const packed = isCompressed ? pipeTo(document, createGzip()) : document;
        return protection === undefined
          ? packed
          : Readable.from(encryptStream(packed, protection, name), { objectMode: false });
      },
    };
  }

  async import(source: Readable, { passphrase }: ImportParams): Promise<ImportResult> {
    const collections: Record<string, number> = {};
    const counted = async function* (records: AsyncIterable<BackupRecord>) {
      for await (const record of records) {
        collections[record.collection] = (collections[record.collection] ?? 0) + 1;
        yield record;
      }
    };
    const document = openContainer(source, passphrase);
    const records = readDocument(document, { collections: this.#exported(undefined) });
    let replaced: ImportResult['replaced'];
    try {
      replaced = await this.#database.importRecords(counted(records));
    } catch (error) {
      // Names collection and field, and no value.
      if (error instanceof RecordInvalidError) {
        throw new BackupError('BACKUP_REFUSED', error.message);
      }
      throw error;
    }
    const total = Object.values(collections).reduce((sum, count) => sum + count, 0);
    this.#logger.info('config backup imported', { records: total, collections });
    if (replaced.length > 0) {
      const why = 'the import removed records that had the unique value of an imported one';
      this.#logger.warn(why, { replaced: replaced.map(nameOf) });
    }
    return { records: total, collections, replaced };
  }

  /** @throws {BackupError} naming what can be exported */
  #exported(entries: readonly string[] | undefined): readonly string[] {
    const all = this.#database.collections.filter((name) => !NEVER_EXPORTED.has(name));
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

  /** All records of a collection in the order of ids. `leaveOut` is told of one that cannot be read. */
  async *#recordsOf(
    collection: string,
    leaveOut: (collection: string, cause: Error) => void,
  ): AsyncGenerator<BackupRecord> {
    let after: string | undefined;
    do {
      // oxlint-disable-next-line no-await-in-loop -- a page begins where the one before ended
      const page = await this.#database
        .collection(collection)
        .list({ limit: PAGE_RECORDS, ...(after !== undefined && { after }) });
      for (const error of page.unreadable) leaveOut(collection, error);
      for (const { id, record } of page.records) yield { collection, id, record };
      after = page.next;
    } while (after !== undefined);
  }
}

function nameOf({ collection, id }: ReplacedRecord): string {
  return `${collection} ${id}`;
}

/** What a client is shown after an import. */
export function importText({ records, replaced }: ImportResult): string {
  const done = `config successfully imported: ${records} records\n`;
  if (replaced.length === 0) return done;
  return `${done}removed, since an imported record has the same unique value: ${replaced.map(nameOf).join(', ')}\n`;
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
