/**
 * What the server's faces need of the database. `@vault/redis-store` fulfils it; the user of a port
 * owns it.
 */
import type { CollectionDefinition, MissingHalf, OperationStatus } from '@vault/redis-store';
import type { Json } from '../protocol.js';

/** A record without its id. */
export interface RecordFields {
  readonly [field: string]: Json | undefined;
}

export interface StoredRecord {
  readonly id: string;
  readonly record: RecordFields;
}

export interface RecordCollection {
  readonly name: string;
  readonly definition: CollectionDefinition;
  add(record: RecordFields, options?: { readonly id?: string }): Promise<string>;
  get(id: string): Promise<StoredRecord | undefined>;
  /** Aligned with `ids`; a record that cannot be read is the error. */
  getMany(ids: readonly string[]): Promise<readonly (StoredRecord | Error | undefined)[]>;
  /** Merges fields; `undefined` deletes one. */
  set(id: string, changes: RecordFields): Promise<StoredRecord>;
  /** Read, change, write, repeated while others write; `undefined` from `change` leaves the record. */
  update(
    id: string,
    change: (record: RecordFields) => RecordFields | undefined,
  ): Promise<StoredRecord>;
  remove(id: string): Promise<boolean>;
  find(
    query: RecordFields,
    options?: { readonly limit?: number; readonly after?: string },
  ): Promise<readonly StoredRecord[]>;
  list(options?: { readonly after?: string; readonly limit?: number }): Promise<{
    readonly records: readonly StoredRecord[];
    readonly unreadable: readonly Error[];
    readonly next: string | undefined;
  }>;
  count(): Promise<number>;
}

export interface Database {
  /** Random, for its life. */
  readonly databaseId: string;
  readonly collections: readonly string[];
  /** Rejects while Redis does not answer. */
  checkRedis(): Promise<void>;
  /** @throws RangeError when no collection has that name */
  collection(name: string): RecordCollection;
  /** For operators: state, key ids, halves, warnings. JSON, no secret in it. */
  status(): Promise<object>;
  /** Reads everything, changes nothing. JSON, no stored value in it. */
  verify(options?: { readonly onProgress?: (progress: DatabaseProgress) => void }): Promise<object>;
  /** Makes a new key active and encrypts every record anew, while it serves. @throws when conditions are not met */
  rotateKey(): Promise<RotationResult>;
  /** Why a rewriting of all records does not come to its end. */
  readonly operationFailed: NonNullable<OperationStatus['failed']> | undefined;
  /** Takes up a rewriting of all records that failed. @returns why it failed again */
  retryOperation(): Promise<{ readonly cause: string; readonly advice: string } | undefined>;
  /** Ids of the keys that nothing is encrypted under any more. */
  readonly inactiveKeyIds: readonly string[];
  /** @throws when something still needs one */
  deleteInactiveKeys(options?: { readonly now?: boolean }): Promise<DeletionResult>;
  /** Reads the halves again. */
  checkHalves(): Promise<void>;
  /** Keys in use of which a half is not in its place any more, as the last look found them. */
  readonly missingHalves: readonly MissingHalf[];
  /** Puts halves back that were lost, from memory. @returns ids of the keys that were not whole @throws when one cannot be written */
  putBackKeys(): Promise<readonly string[]>;
  /** Whether the first administrator was made, kept in the authenticated seal. */
  readonly isBootstrapped: boolean;
  markBootstrapped(): Promise<void>;
}

export interface RotationResult {
  readonly activeKeyId: string;
  readonly previousKeyId: string;
  readonly records: number;
}

export interface DeletionResult {
  /** Ids of those that are gone. */
  readonly deletedKeys: readonly string[];
  /** Those that are to go, and open still: others may share a place of their halves. Times in ISO 8601. */
  readonly condemnedKeys: readonly {
    readonly keyId: string;
    readonly since: string;
    readonly until: string;
  }[];
  /** Halves of deleted keys that the server could not erase. */
  readonly notErased: readonly {
    readonly keyId: string;
    readonly place: string;
    readonly reason: string;
  }[];
}

export interface DatabaseProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}
