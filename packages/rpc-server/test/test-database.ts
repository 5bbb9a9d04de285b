/** A real database on a real Redis, encrypted, in folders of its own. */
import { CredentialDatabase, staticCustody } from '@vault/redis-store';
import type { CollectionDefinitions, Progress } from '@vault/redis-store';
import { RedisServer } from '../../../test/harness/redis.js';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';

export interface TestDatabase {
  readonly database: CredentialDatabase;
  readonly redis: RedisServer;
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
  const folder = new TemporaryFolder('vault-api');
  const database = await CredentialDatabase.open({
    redis: { socketPath: redis.socketPath ?? '' },
    collections,
    custody: staticCustody(),
    dataDir: folder.path,
    encrypt: true,
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return {
    database,
    redis,
    everythingStored: async () => {
      const client = redis.client();
      const keys = await client.keys('*');
      const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
      return [...keys, ...dumps.map((dump) => dump?.toString('latin1') ?? '')].join('\n');
    },
    stop: async () => {
      await database.close();
      await redis.stop();
      await folder.stop();
    },
  };
}
