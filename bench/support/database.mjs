/** The record and the collection of the benchmarks: about 300 bytes of JSON, two indexes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyHalf } from '@vault/crypto';
import { CredentialDatabase, staticCustody } from '@vault/redis-store';

export const DEFINITION = {
  fields: {
    host: { type: 'string' },
    username: { type: 'string' },
    label: { type: 'string' },
    note: { type: 'string' },
    enabled: { type: 'boolean' },
    password: { type: 'secret' },
  },
  indexes: {
    host: { kind: 'exact', fields: ['host'] },
    username: { kind: 'exact', fields: ['username'] },
  },
};

export function recordOf(n) {
  return {
    host: `xen-${n}.rack4.paris.example.org`,
    username: `operator-${n}`,
    label: 'rack 4, pool master, second power supply',
    note: 'replaced in march; the old address answers until the end of the summer',
    enabled: true,
    password: 'correct horse battery staple, and then some more words',
  };
}

export function makeCustody() {
  return staticCustody([KeyHalf.generate(), KeyHalf.generate()]);
}

/** @returns `{ database, collection, dataDir, custody, close() }` */
export async function openDatabase(
  redis,
  { encrypt, prefix = 'vault', custody = makeCustody(), dataDir, onProgress } = {},
) {
  const folder = dataDir ?? mkdtempSync(join(tmpdir(), 'vault-bench-data-'));
  const database = await CredentialDatabase.open({
    redis: typeof redis === 'string' ? { url: redis } : { socketPath: redis.socketPath },
    prefix,
    collections: { server: DEFINITION },
    custody,
    dataDir: folder,
    encrypt,
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return {
    database,
    collection: database.collection('server'),
    dataDir: folder,
    custody,
    close: async () => {
      await database.close();
      if (dataDir === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
