/**
 * The ports around the config backup: what the methods `system.exportConfig` and
 * `system.importConfig` call, and what the backup needs of the database.
 */
import type { Readable } from 'node:stream';
import type { ImportPreviewReport, ImportReport } from '@vault/redis-store';
import type { RefusedRecord } from './refused-records.js';

export interface ExportParams {
  /** At least 12 characters. Required while the database is encrypted; without it the backup is plain JSON. */
  readonly passphrase?: string;
  /** Names of collections. Default: all but `token`, which is never in a backup. */
  readonly entries?: readonly string[];
  /** Compress with gzip (inside the encryption). Default `false`. */
  readonly compress?: boolean;
  /** Leave records out that cannot be read, or would not come back; default `false`: such an export fails. */
  readonly skipUnreadable?: boolean;
}

/** An export that was checked and is ready to stream, once. */
export interface PreparedExport {
  /** `vault-config_20261122T060500Z.json[.gz][.pgp]` */
  readonly fileName: string;
  /** MIME type of the bytes. */
  readonly contentType: string;
  /**
   * Starts reading the database. The stream fails with an error when the export cannot be completed.
   * @throws {BackupError} `BACKUP_INCOMPLETE` before the first byte, naming the records that would be missing
   */
  open(): Promise<Readable>;
  /** Records that are in the stream so far. */
  readonly records: number;
  /** Records that were left out so far. */
  readonly leftOut: number;
  /** Which they are, and why: one clause each. */
  readonly leftOutNames: string;
}

export interface ImportParams {
  /** Of the file, which has to be encrypted under it. */
  readonly passphrase?: string;
  /** Takes a file that is not encrypted, instead of a passphrase. Default `false`. */
  readonly allowUnprotected?: boolean;
  /** Leaves out the records that cannot be imported. Default `false`: nothing is imported then. */
  readonly skipInvalid?: boolean;
  /** Says what the import would do, and changes nothing. Default `false`. */
  readonly dryRun?: boolean;
}

/** What an import did, or (a dry run) would do. Counts are records. */
export interface ImportResult extends ImportReport {
  readonly dryRun: boolean;
  /** Records that were not taken; the first 100 with their reasons. */
  readonly refused: { readonly count: number; readonly records: readonly RefusedRecord[] };
  /** Records that were missing in the database when the backup was made, as the file says. */
  readonly missingInBackup: number;
  /** Of a dry run: the first 1000 records that would be touched. */
  readonly changes?: ImportPreviewReport['changes'];
  /** Of a dry run: why the import would be refused as a whole; `null` where it would not. */
  readonly refusal?: string | null;
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
   * @param assertStill asked last of all before the database is changed: what it throws ends the import
   * @throws {BackupError} when the file cannot be taken: nothing was changed
   */
  import(
    source: Readable,
    params: ImportParams,
    assertStill?: () => Promise<void>,
  ): Promise<ImportResult>;
}

/** One record on its way out of, or into, the database. */
export interface BackupRecord {
  readonly collection: string;
  readonly id: string;
  readonly record: { readonly [field: string]: unknown };
}

/** Takes the records of one import. */
export interface RecordTarget {
  /** @throws {RecordInvalidError} for a record that does not fit: it was not taken, the next one may be */
  add(record: BackupRecord): Promise<void>;
}

/** An import that was begun: nothing of it is in the database yet. */
export interface BegunImport<Report> extends RecordTarget {
  /** Upserts by id all that was taken; or, of a preview, says what that would do. */
  finish(): Promise<Report>;
  /** Gives it up, and leaves nothing behind. */
  abort(): Promise<void>;
}

/** What the config backup needs of the database. */
export interface BackupDatabase {
  readonly collections: readonly string[];
  /** Whether records are, or are becoming, encrypted: then nothing leaves without protection. */
  isEncrypted(): boolean;
  /** Checks a record as a write does. @throws {RecordInvalidError} */
  check(record: BackupRecord): void;
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
  /** The users that are administrators now. */
  administrators(): Promise<readonly Omit<BackupRecord, 'collection'>[]>;
  /** Keeps what it takes on disk, sealed while there is a key. */
  openImport(): Promise<BegunImport<ImportReport>>;
  previewImport(): BegunImport<ImportPreviewReport>;
}
