/**
 * A new database out of the backup of a migration, where the keys of the old one are lost or Redis was emptied:
 *
 * 1. read the whole backup, open and check every record: until here nothing is changed;
 * 2. put what Redis holds aside, in a file; note that this is under way;
 * 3. open the empty place as a first start does, in the form that the setting asks for (what was planted there since is
 *    refused), note that too, import, verify;
 * 4. forget the note.
 *
 * After a crash in 2 or 3 the server stays degraded, and the same command goes on: once the new database stands,
 * nothing is put aside any more.
 */
import { createHash } from 'node:crypto';
import {
  archiveDatabase,
  compareWithBackup,
  CredentialDatabase,
  DegradedError,
  OperationRefusedError,
  restorableRecords,
} from '@vault/redis-store';
import type {
  BackupComparison,
  DatabaseState,
  ImportReport,
  OpenOptions,
  UnrestorableRecord,
} from '@vault/redis-store';
import { openEmptied } from './open-emptied.js';
import { RecoveryMarker } from './recovery-marker.js';
import type { RecoveryUnderWay } from './recovery-marker.js';
import { checkNewKeyPossible, keepAdministrators } from './recover-database.js';

/** What is put back, and where. */
export interface RestoreParts {
  readonly options: OpenOptions;
  /** The JSON document of the backup from its beginning, each time. */
  readonly open: () => AsyncIterable<Uint8Array>;
  /** Leaves out what cannot be put back, instead of refusing all. */
  readonly skipInvalid: boolean;
  /**
   * Whether plaintext records are believed: the file is protected, or nothing says that it should be.
   * Default: true.
   */
  readonly mayBePlaintext?: boolean;
}

export interface RestorePlan {
  readonly comparison: BackupComparison;
  /** SHA-256 of the document, which says whether it is the one that was begun with. */
  readonly digest: string;
  /** An earlier run made the new database for this very backup: it is gone on with. */
  readonly isUnderWay: boolean;
}

export interface Restored {
  readonly imported: ImportReport;
  readonly state: DatabaseState;
  readonly leftOut: readonly UnrestorableRecord[];
  /** Files with what was in Redis before. */
  readonly archives: readonly string[];
}

/**
 * Looks at backup and Redis; changes nothing.
 * @throws {OperationRefusedError} while the keys are there that the records in Redis need, or for records that cannot be put back
 * @throws {MigrationError} when the file is not a whole backup of a migration
 */
export async function planRestore({
  options,
  open,
  skipInvalid,
  mayBePlaintext = true,
}: RestoreParts): Promise<RestorePlan> {
  const hash = createHash('sha256');
  const comparison = await compareWithBackup(hashing(open(), hash), options, {
    mayBePlaintext,
  });
  const digest = hash.digest('hex');
  const underWay = await new RecoveryMarker(options.dataDir).read();
  // What stands there then is no database: this, or a recovery, was cut short.
  if (underWay === undefined && comparison.keysAreThere !== undefined) {
    throw new OperationRefusedError(comparison.keysAreThere);
  }
  if (options.encrypt === undefined && comparison.of !== 'plaintext') {
    throw new OperationRefusedError(
      'the backup holds encrypted records, and the setting encryptCredentialDatabase is absent: set it to true, or to false for a plaintext database',
    );
  }
  const [first] = comparison.problems;
  if (first !== undefined && !skipInvalid) {
    const { collection, id, problem } = first;
    const more = comparison.unrestorable - 1;
    const others = more === 0 ? '' : `, and ${more} more`;
    throw new OperationRefusedError(
      `${collection} ${id} cannot be put back: ${problem}${others}; nothing was changed. To leave such records out, say --skip-invalid`,
    );
  }
  await checkNewKeyPossible(options);
  return { comparison, digest, isUnderWay: underWay?.restoring === digest };
}

async function* hashing(
  bytes: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    hash.update(piece);
    yield piece;
  }
}

/**
 * Does it.
 * @throws {OperationRefusedError} while another process uses the database: nothing was changed; or when somebody put
 *   something into the emptied place
 */
export async function restoreMigrationBackup(
  parts: RestoreParts,
  plan: RestorePlan,
): Promise<Restored> {
  const { options } = parts;
  const marker = new RecoveryMarker(options.dataDir);
  const begun = plan.isUnderWay ? await openBegun(options) : undefined;
  const archives =
    begun === undefined ? await putAside(options, marker) : ((await marker.read())?.archives ?? []);
  const database = begun ?? (await openEmptied(options));
  try {
    // Only now: whatever an earlier run left before this is put aside again.
    if (begun === undefined) await marker.write(markOf(archives, plan.digest));
    await options.onStep?.('restore-noted');
    const { ring } = await options.custody.load();
    const leftOut: UnrestorableRecord[] = [];
    const spool = await database.openImport();
    try {
      const { mayBePlaintext = true } = parts;
      const records = restorableRecords(
        parts.open(),
        options.collections,
        ring,
        // What was no problem a moment ago stops it: a half that cannot be read now must lose nothing.
        parts.skipInvalid ? (record) => leftOut.push(record) : undefined,
        { mayBePlaintext },
      );
      for await (const { collection, id, record } of records) {
        await spool.add(collection, id, record);
      }
    } catch (error) {
      await spool.abort();
      throw error;
    }
    const imported = await database.import(spool);
    await keepAdministrators(database);
    await checkAll(database);
    await options.onStep?.('restore-verified');
    await marker.remove();
    return { imported, state: database.state, leftOut, archives };
  } finally {
    await database.close();
  }
}

/** The new database of an earlier run; `undefined` where it does not stand any more as that run left it. */
async function openBegun(options: OpenOptions): Promise<CredentialDatabase | undefined> {
  try {
    return await CredentialDatabase.open(options);
  } catch (error) {
    if (error instanceof DegradedError && error.reason === 'foreignDatabase') return undefined;
    throw error;
  }
}

async function putAside(options: OpenOptions, marker: RecoveryMarker): Promise<readonly string[]> {
  const earlier = await marker.read();
  const archives = [...(earlier?.archives ?? [])];
  await archiveDatabase({
    ...options,
    onArchived: async (path) => {
      if (path !== undefined) archives.push(path);
      await marker.write(markOf(archives, null));
    },
  });
  await options.onStep?.('restore-emptied');
  return archives;
}

function markOf(archives: readonly string[], restoring: string | null): RecoveryUnderWay {
  return { archives, keyId: null, restoring, archive: null, kind: 'restore-migration-backup' };
}

async function checkAll(database: CredentialDatabase): Promise<void> {
  const { isSound, problems } = await database.verify();
  if (isSound) return;
  const [first] = problems;
  const where = first === undefined ? '' : `, first of ${first.collection} ${first.id}`;
  throw new OperationRefusedError(
    `what was put back does not verify${where}: run the command again`,
  );
}
