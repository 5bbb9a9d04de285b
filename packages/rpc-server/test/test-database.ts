/** A real database on a real Redis, encrypted, in folders of its own. */
import { CredentialDatabase, staticCustody } from '@vault/redis-store';
import type { CollectionDefinitions, Progress } from '@vault/redis-store';
import { RedisServer } from '../../../test/harness/redis.js';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';

export interface TestDatabase {
  readonly database: CredentialDatabase;
  readonly redis: RedisServer;
  /** The same database, opened by another server. */
  openAnother(): Promise<CredentialDatabase>;
  /** Every key and value in Redis, as text. */
  everythingStored(): Promise<string>;
  stop(): Promise<void>;
}

export async function openTestDatabase(
  collections: CollectionDefinitions,
  onProgress?: (progress: Progress) => void,
): Promise<TestDatabase> {
  // Keys are deleted only when Redis has what replaces them on disk.
  const redis = await RedisServer.start({ appendonly: true });
  const custody = staticCustody();
  const folders: TemporaryFolder[] = [];
  const others: CredentialDatabase[] = [];
  const open = (more: { readonly onProgress?: (progress: Progress) => void } = {}) => {
    const folder = new TemporaryFolder('vault-api');
    folders.push(folder);
    return CredentialDatabase.open({
      redis: { socketPath: redis.socketPath ?? '' },
      collections,
      custody,
      dataDir: folder.path,
      encrypt: true,
      ...more,
    });
  };
  const database = await open(onProgress === undefined ? {} : { onProgress });
  return {
    database,
    redis,
    openAnother: async () => {
      const other = await open();
      others.push(other);
      return other;
    },
    everythingStored: async () => {
      const client = redis.client();
      const keys = await client.keys('*');
      const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
      return [...keys, ...dumps.map((dump) => dump?.toString('latin1') ?? '')].join('\n');
    },
    stop: async () => {
      for (const each of [...others, database]) await each.close();
      await redis.stop();
      for (const folder of folders) await folder.stop();
    },
  };
}
