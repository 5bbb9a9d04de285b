/** How a database is opened. */
import type { Readable } from 'node:stream';
import type { KeyCustody, KeyId } from '@vault/crypto';
import type { CollectionDefinitions } from './records/collection-definition.js';
import type { DegradedError } from './errors.js';
import type { RedisOptions } from './redis/redis-options.js';
import type { StoreLogger } from './store-logger.js';

/** Somebody looks at the log of the other instance within a week. */
export const DELETION_GRACE_MS = 7 * 86_400_000;
/** A half that is gone is known before the next restart needs it. */
export const CHECK_HALVES_EVERY_MS = 60_000;

/** How far a long operation is. `total` may grow while it runs. */
export interface Progress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

/** Encrypts the plaintext backup that *encrypt* writes (OpenPGP, in the server). */
export interface BackupProtection {
  /** Ending of the file name, such as `.pgp`. */
  readonly ending: string;
  protect(plain: Readable): Readable;
}

export interface OpenOptions {
  readonly redis: RedisOptions;
  /** Prefix of all key names: 1 to 64 characters of `A-Za-z0-9_.:-`. Default `vault`. */
  readonly prefix?: string;
  readonly collections: CollectionDefinitions;
  readonly custody: KeyCustody;
  /** Folder for the witness, backups and spools; must exist and be writable. */
  readonly dataDir: string;
  /**
   * Whether records are to be encrypted: the state of the database follows. Absent: one that was made
   * encrypted, or is pinned, stays so; one that was switched on later is decrypted.
   */
  readonly encrypt?: boolean | undefined;
  /** `server` (default) migrates as the setting says; `tool` never generates keys and never migrates. */
  readonly role?: 'server' | 'tool';
  /**
   * A new database begins here, in a place that was just emptied: a record that stands there all the same was
   * planted, and is refused before anything is encrypted. Default `false`: what is there is taken over.
   */
  readonly mustBeEmpty?: boolean;
  /** Default: says nothing. */
  readonly logger?: StoreLogger;
  /** Called in every long operation, after each batch. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called once, when a database that was served can be served no more; every later call throws the same error. */
  readonly onDegraded?: (error: DegradedError) => void;
  /**
   * A pair of halves that the caller made for this database: *encrypt* uses it. Where others may share the
   * places of both halves, it uses no other that is there. Default: none.
   */
  readonly ownKeyId?: KeyId | undefined;
  /** This Redis is run by us alone: its slow log is reset and its files are rewritten after *encrypt*. Default `false`. */
  readonly ownRedis?: boolean;
  /** Encrypts the plaintext backup of *encrypt*. Default: plain JSON, mode 0400, deleted on success. */
  readonly backupProtection?: BackupProtection;
  /** How long a line in a place that others may share stays condemned before a second call removes it. Default: 7 days. */
  readonly deletionGraceMs?: number;
  /** How often a server reads the halves again, to see that those in use still stand. Default: a minute. */
  readonly checkHalvesEveryMs?: number;
  /**
   * For tests: called between any two steps of a migration with the step's name; a rejection stops
   * the process of migration there, as a crash would.
   */
  readonly onStep?: (step: string) => Promise<void>;
}
