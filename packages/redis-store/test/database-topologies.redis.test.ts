/** A whole database on other Redis than one by a socket: a cluster, sentinels, a user with few rights. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RedisCluster } from '../../../test/harness/redis-cluster.js';
import { RedisServer } from '../../../test/harness/redis.js';
import { CredentialDatabase } from '../src/credential-database.js';
import type { OpenOptions } from '../src/open-options.js';
import { staticCustody } from '../src/keys/static-custody.js';
import { fill, USER } from './database-fixture.js';
import { SERVER } from './store-fixture.js';

const { host: _unique, ...EXACT_INDEXES } = SERVER.indexes;
const SPREAD = { ...SERVER, indexes: EXACT_INDEXES, partitions: 16 };

let cleanups: (() => Promise<void>)[] = [];
let dataDir = '';
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'vault-topology-'));
});
afterEach(async () => {
  for (const stop of cleanups) {
    // oxlint-disable-next-line no-await-in-loop -- what was started last is stopped first
    await stop();
  }
  cleanups = [];
  rmSync(dataDir, { recursive: true, force: true });
});
function stopAfter<T extends { stop(): Promise<void> }>(thing: T): T {
  cleanups.unshift(() => thing.stop());
  return thing;
}

/**
 * Plaintext, then encrypted, then refiled into other partitions, then plaintext: sound each time.
 * @returns keys that are left
 */
async function walk(redis: OpenOptions['redis']): Promise<readonly string[]> {
  const custody = staticCustody();
  const roads: Pick<OpenOptions, 'encrypt' | 'collections'>[] = [
    { encrypt: false, collections: { server: SPREAD, user: USER } },
    { encrypt: true, collections: { server: SPREAD, user: USER } },
    { encrypt: true, collections: { server: { ...SPREAD, partitions: 5 }, user: USER } },
    { encrypt: false, collections: { server: { ...SPREAD, partitions: 5 }, user: USER } },
  ];
  for (const [i, road] of roads.entries()) {
    // oxlint-disable no-await-in-loop -- one start after the other
    const database = await CredentialDatabase.open({ redis, custody, dataDir, ...road });
    try {
      if (i === 0) await fill(database, 200);
      const found = await database.collection('server').find({ host: 'host-7.marker.example' });
      expect(found.map(({ id }) => id)).toEqual(['server-00007']);
      const roots = await database.collection('server').find({ username: 'root1' });
      expect(roots).toHaveLength(67);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 201 });
    } finally {
      await database.close();
    }
    // oxlint-enable no-await-in-loop
  }
  expect(readdirSync(dataDir)).toEqual(['vault-state']);
  return (await custody.load()).ring.ids;
}

describe('a whole database', () => {
  test('on a cluster, spread over its masters', async () => {
    const cluster = stopAfter(await RedisCluster.start({ appendonly: true }));
    expect(await walk({ cluster: cluster.addresses })).toEqual([]);
  }, 60_000);

  test('beside another application, whose keys are as they were', async () => {
    const redis = stopAfter(await RedisServer.start({ appendonly: true }));
    const client = redis.client();
    await client.mset(
      'vault{server',
      'a',
      'vault',
      'b',
      'vaults:{server}:r:x',
      'c',
      '{server}:r:x',
      'd',
    );
    expect(await walk({ socketPath: redis.socketPath ?? '' })).toEqual([]);
    expect(
      await client.mget('vault{server', 'vault', 'vaults:{server}:r:x', '{server}:r:x'),
    ).toEqual(['a', 'b', 'c', 'd']);
  });
});
