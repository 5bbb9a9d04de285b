/**
 * The ports around the config backup: what the methods `system.exportConfig` and
 * `system.importConfig` call, and what the backup needs of the database.
 */
import type { Readable } from 'node:stream';

export interface ExportParams {
  /** At least 12 characters. Required while the database is encrypted; without it the backup is plain JSON. */
  readonly passphrase?: string;
  /** Names of collections. Default: all but `token`, which is never in a backup. */
  readonly entries?: readonly string[];
  /** Compress with gzip (inside the encryption). Default `false`. */
  readonly compress?: boolean;
  /** Leave records out that cannot be read; default `false`: such an export fails. */
  readonly skipUnreadable?: boolean;
}

/** An export that was checked and is ready to stream, once. */
export interface PreparedExport {
  /** `vault-config_20261122T060500Z.json[.gz][.pgp]` */
  readonly fileName: string;
  /** MIME type of the bytes. */
  readonly contentType: string;
  /** Starts reading the database. The stream fails with an error when the export cannot be completed. */
  open(): Readable;
  /** Records that were left out so far. */
  readonly leftOut: number;
}

export interface ImportParams {
  readonly passphrase?: string;
}

/** What an import did. Counts are records; a record that is there already with the same content is in both. */
export interface ImportResult {
  readonly records: number;
  /** Records by collection. */
  readonly collections: Readonly<Record<string, number>>;
  /** Records that were removed, since an imported one has the same value in a unique index. */
  readonly replaced: readonly ReplacedRecord[];
}

export interface ReplacedRecord {
  readonly collection: string;
  readonly id: string;
}

export interface ConfigBackup {
  /**
   * Checks the parameters and gives a stream to serve later.
   * @throws {BackupError} at once, before any URL is handed out
   */
  export(params: ExportParams): PreparedExport;
  /**
   * Reads a whole backup, authenticates, validates and spools it, and only then changes the database.
   * @throws {BackupError} when the file cannot be taken: nothing was changed
   */
  import(source: Readable, params: ImportParams): Promise<ImportResult>;
}

/** One record on its way out of, or into, the database. */
export interface BackupRecord {
  readonly collection: string;
  readonly id: string;
  readonly record: { readonly [field: string]: unknown };
}

/** What the config backup needs of the database. */
export interface BackupDatabase {
  readonly collections: readonly string[];
  /** Whether records are, or are becoming, encrypted: then nothing leaves without protection. */
  isEncrypted(): boolean;
  collection(name: string): {
    list(options: { readonly after?: string; readonly limit: number }): Promise<{
      readonly records: readonly {
        readonly id: string;
        readonly record: { readonly [field: string]: unknown };
      }[];
      readonly unreadable: readonly Error[];
      readonly next: string | undefined;
    }>;
  };
  /**
   * First reads all of it, checking each record against its collection and spooling it to disk (sealed
   * while there is a key); an error of the iterable, or a record that does not fit, ends it with
   * nothing changed. Then upserts by id.
   * @returns the records that had to go for others with the same unique value
   */
  importRecords(records: AsyncIterable<BackupRecord>): Promise<readonly ReplacedRecord[]>;
}
