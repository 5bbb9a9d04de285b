/** The credential database as the config backup needs it. */
import { OperationRefusedError } from '@vault/redis-store';
import type { CredentialDatabase, CredentialRecord } from '@vault/redis-store';
import type { BackupDatabase, BackupRecord } from './port.js';

/** @see BackupDatabase */
export function backupDatabaseOf(database: CredentialDatabase): BackupDatabase {
  return {
    collections: database.collections,
    isEncrypted: () => database.isEncrypted,
    collection: (name) => database.collection(name),
    async importRecords(records: AsyncIterable<BackupRecord>) {
      const spool = await database.openImport();
      try {
        for await (const { collection, id, record } of records) {
          await spool.add(collection, id, record as CredentialRecord);
        }
        await spool.finish();
      } catch (error) {
        await spool.abort();
        throw error;
      }
      try {
        const { replaced } = await database.import(spool);
        return replaced;
      } catch (error) {
        // Refused before the database knew of the spool. After any other failure a start needs it.
        if (error instanceof OperationRefusedError) await spool.abort();
        throw error;
      }
    },
  };
}
