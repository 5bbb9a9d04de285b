/** The credential database as the config backup needs it. */
import { checkRecord, OperationRefusedError } from '@vault/redis-store';
import type {
  CollectionDefinitions,
  CredentialDatabase,
  CredentialRecord,
  ImportReport,
} from '@vault/redis-store';
import { BackupError } from './errors.js';
import type { BackupDatabase, BackupRecord, BegunImport } from './port.js';

/** Far more than a server has. */
const ADMINISTRATORS_MAX = 10_000;

/** @see BackupDatabase */
export function backupDatabaseOf(database: CredentialDatabase): BackupDatabase {
  const definitions: CollectionDefinitions = Object.fromEntries(
    database.collections.map((name) => [name, database.collection(name).definition]),
  );
  return {
    collections: database.collections,
    isEncrypted: () => database.isEncrypted,
    check: (record) => checkBackupRecord(definitions, record),
    collection: (name) => database.collection(name),
    administrators: () =>
      database.collection('user').find({ permission: 'admin' }, { limit: ADMINISTRATORS_MAX }),
    openImport: () => openImport(database),
    previewImport: () => {
      const preview = database.previewImport();
      return {
        add: ({ collection, id, record }) =>
          preview.add(collection, id, record as CredentialRecord),
        finish: () => preview.finish(),
        abort: () => Promise.resolve(),
      };
    },
  };
}

/** @throws {RecordInvalidError} */
export function checkBackupRecord(
  definitions: CollectionDefinitions,
  { collection, id, record }: BackupRecord,
): void {
  checkRecord(definitions, collection, id, record as CredentialRecord);
}

async function openImport(database: CredentialDatabase): Promise<BegunImport<ImportReport>> {
  const spool = await onDisk(database.openImport());
  return {
    add: ({ collection, id, record }) =>
      onDisk(spool.add(collection, id, record as CredentialRecord)),
    async finish() {
      try {
        await onDisk(spool.finish());
      } catch (error) {
        await spool.abort();
        throw error;
      }
      try {
        return await database.import(spool);
      } catch (error) {
        // Refused before the database knew of the spool. After any other failure a start needs it.
        if (error instanceof OperationRefusedError) await spool.abort();
        throw error;
      }
    },
    abort: () => spool.abort(),
  };
}

/** A folder that is full is no mistake of the program. @throws {BackupError} `BACKUP_STORAGE_FAILED` */
async function onDisk<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new BackupError('BACKUP_STORAGE_FAILED', code, { cause: error });
  }
}
