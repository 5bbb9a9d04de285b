/**
 * A new database in the place of one that cannot be opened, out of a config backup:
 *
 * 1. take the whole backup, authenticate it, and check every record: until here nothing is changed;
 * 2. put the old database aside, in a file; note that a recovery is under way;
 * 3. append a new pair of halves (what is there stays), open the empty database under it (what was planted there
 *    since is refused), import;
 * 4. forget the note.
 *
 * After a crash in 2 or 3 the server stays degraded, and the next recovery begins at 1.
 */
import { readdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { isKeyId } from '@vault/crypto';
import { archiveDatabase, isOfKind, OperationRefusedError } from '@vault/redis-store';
import type {
  CollectionDefinitions,
  CredentialDatabase,
  DegradedError,
  OpenOptions,
  Progress,
  StoreLogger,
} from '@vault/redis-store';
import type { SourceEnvironment } from '@vault/keystore';
import { canSignIn } from '../backup/administrator-check.js';
import { DatabaseConfigBackup } from '../backup/config-backup.js';
import { backupDatabaseOf, checkBackupRecord } from '../backup/database-adapter.js';
import { importProtection } from '../backup/import-protection.js';
import type { BackupRecord, ImportParams, ImportResult } from '../backup/port.js';
import { readBackup, refusalOfRecords } from '../backup/read-backup.js';
import type { ServerConfig } from '../config/load-config.js';
import type { LocalRedis } from '../local-redis.js';
import { openOptions } from '../open-database.js';
import { forbiddenOperation } from '../rpc/api-error.js';
import { openEmptied } from './open-emptied.js';
import { RecoveryMarker } from './recovery-marker.js';
import type { RecoveryUnderWay } from './recovery-marker.js';
import { StagedUpload } from './staged-upload.js';

export interface RecoveryParts {
  readonly config: ServerConfig;
  readonly redis: LocalRedis;
  readonly sources: SourceEnvironment;
  readonly logger: StoreLogger;
  readonly onProgress?: (progress: Progress) => void;
  /** Of the database that is opened, once it is served. */
  readonly onDegraded?: (error: DegradedError) => void;
  /** For tests: called between any two steps; a rejection stops there, as a crash would. */
  readonly onStep?: (step: string) => Promise<void>;
}

export interface Recovered {
  readonly database: CredentialDatabase;
  readonly imported: ImportResult;
  /** Files with what was in Redis before. */
  readonly archives: readonly string[];
}

/**
 * @throws {BackupError} when the backup cannot be taken; {ApiError} FORBIDDEN_OPERATION when no key can be written;
 *   {OperationRefusedError} without a setting, or when another process uses the database: nothing was changed;
 *   or when somebody put something into the emptied place
 */
export async function recoverDatabase(
  parts: RecoveryParts,
  body: Readable,
  params: ImportParams,
): Promise<Recovered> {
  const { config, logger, onStep } = parts;
  const { datadir } = config.settings;
  checkForm(config);
  importProtection(params);
  const staged = await StagedUpload.take(body, datadir);
  try {
    await checkBackup(staged, params, config.collections);
    const options: OpenOptions = {
      ...(await openOptions({ ...parts, role: 'server' })),
      ...(onStep !== undefined && { onStep }),
    };
    await checkNewKeyPossible(options);
    const marker = new RecoveryMarker(datadir);
    const archives = await putAside(options, marker, logger);
    const database = await openAnew(options, marker, archives);
    try {
      const backup = new DatabaseConfigBackup({ database: backupDatabaseOf(database), logger });
      const imported = await backup.import(staged.open(), params);
      await onStep?.('recovery-imported');
      await keepAdministrators(database);
      await marker.remove();
      await nameLeftovers(datadir, logger);
      return { database, imported, archives };
    } catch (error) {
      await database.close();
      throw error;
    }
  } finally {
    await staged.remove();
  }
}

/** What a recovery would import, all of it into an empty database; nothing is changed. */
export async function previewRecovery(
  { config }: Pick<RecoveryParts, 'config'>,
  body: AsyncIterable<Uint8Array>,
  params: ImportParams,
): Promise<ImportResult> {
  checkForm(config);
  const collections: Record<string, number> = {};
  const { records, refused, missingInBackup } = await readBackup(body, importProtection(params), {
    async add(record) {
      checkBackupRecord(config.collections, record);
      collections[record.collection] = (collections[record.collection] ?? 0) + 1;
    },
  });
  const refusal = refusalOfRecords(refused, params);
  return {
    dryRun: true,
    records,
    collections,
    added: records,
    changed: 0,
    unchanged: 0,
    replaced: [],
    changes: [],
    refused: { count: refused.count, records: refused.named },
    missingInBackup,
    refusal: refusal?.message ?? null,
  };
}

/**
 * A new database has no origin that an absent line could go by: it would be plaintext, whatever the old one was.
 * @throws {OperationRefusedError}
 */
function checkForm({ settings }: ServerConfig): void {
  if (settings['redis.encryptCredentialDatabase'] !== undefined) return;
  throw new OperationRefusedError(
    'a new database is made, and the setting encryptCredentialDatabase is absent: set it to true, or to false for a plaintext database, start again, and import again; nothing was changed',
  );
}

/** Reads all of it, as the import will. @throws {BackupError} */
async function checkBackup(
  staged: StagedUpload,
  params: ImportParams,
  definitions: CollectionDefinitions,
): Promise<void> {
  const target = {
    add: async (record: BackupRecord) => checkBackupRecord(definitions, record),
  };
  const { refused } = await readBackup(staged.open(), importProtection(params), target);
  const refusal = refusalOfRecords(refused, params);
  if (refusal !== undefined) throw refusal;
}

function recoverMark(archives: readonly string[], keyId: string | null): RecoveryUnderWay {
  return { archives, keyId, restoring: null, archive: null, kind: 'recover' };
}

export async function checkNewKeyPossible({ encrypt, custody }: OpenOptions): Promise<void> {
  if (encrypt !== true) return;
  const refusal = await custody.appendRefusal();
  if (refusal === undefined || (await custody.load()).state === 'paired') return;
  throw forbiddenOperation('system.importConfig', `no new key can be written: ${refusal}`);
}

async function putAside(
  options: OpenOptions,
  marker: RecoveryMarker,
  logger: StoreLogger,
): Promise<readonly string[]> {
  const earlier = await marker.read();
  const archives = [...(earlier?.archives ?? [])];
  const { keys } = await archiveDatabase({
    ...options,
    onArchived: async (path) => {
      if (path !== undefined) archives.push(path);
      await marker.write(recoverMark(archives, earlier?.keyId ?? null));
    },
  });
  logger.warn('Recovery put the database aside that could not be opened', { archives, keys });
  return archives;
}

/** The empty place, opened under a new key where the setting wants one. */
async function openAnew(
  options: OpenOptions,
  marker: RecoveryMarker,
  archives: readonly string[],
): Promise<CredentialDatabase> {
  const { custody, encrypt, onStep } = options;
  if (encrypt === true && (await custody.appendRefusal()) === undefined) {
    const { ring } = await custody.load();
    const begun = (await marker.read())?.keyId;
    if (!ring.ids.some((id) => id === begun)) {
      // Noted before its first line is written, so that no crash leaves a pair that nobody knows.
      await custody.append({ announce: (id) => marker.write(recoverMark(archives, id)) });
      await onStep?.('recovery-key-appended');
    }
  }
  await onStep?.('recovery-key-noted');
  const ownKeyId = (await marker.read())?.keyId;
  return openEmptied({ ...options, ...(isKeyId(ownKeyId) && { ownKeyId }) });
}

/** Backups of migrations that the old database did not end: its seal named them, and nobody deletes them now. */
async function nameLeftovers(dataDir: string, logger: StoreLogger): Promise<void> {
  const files = (await readdir(dataDir)).filter((name) => isOfKind('migrationBackup', name));
  if (files.length === 0) return;
  logger.warn(
    'Backups of a migration of the old database are left in the data folder and may hold plaintext: delete them once you need them no more',
    { files },
  );
}

/** A backup that brings an administrator needs no first one; without any who can sign in, the server makes one as in a new database. */
export async function keepAdministrators(database: CredentialDatabase): Promise<void> {
  const found = await database.collection('user').find({ permission: 'admin' });
  if (found.some(({ record }) => canSignIn(record))) await database.markBootstrapped();
}
