/**
 * A failover that loses the last second, in the middle of and right after a change of the whole database: what clients
 * wrote and waited for is there, all can be read, and no key or backup that is still needed is gone.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RedisCluster } from '../../../test/harness/redis-cluster.js';
import { RedisSentinel } from '../../../test/harness/redis-sentinel.js';
import type { RedisServer } from '../../../test/harness/redis.js';
import { detachReplicas } from '../../../test/harness/replication-user.js';
import { Resources } from '../../../test/harness/resources.js';
import { CredentialDatabase } from '../src/credential-database.js';
import type { OpenOptions } from '../src/open-options.js';
import { staticCustody } from '../src/keys/static-custody.js';
import { contents, fill, USER } from './database-fixture.js';
import { RecordingLogger, SERVER } from './store-fixture.js';

const { host: _unique, ...EXACT_INDEXES } = SERVER.indexes;
/** On a cluster, on each of its masters. */
const SPREAD = { ...SERVER, indexes: EXACT_INDEXES, partitions: 12 };
/** A failover takes some seconds. */
const PATIENT = { maxRetriesPerRequest: 30, commandTimeoutMs: 20_000 } as const;

const resources = new Resources();
let dataDir = '';
let custody = staticCustody();
let logger = new RecordingLogger();
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'vault-failover-'));
  custody = staticCustody();
  logger = new RecordingLogger();
});
afterEach(async () => {
  await resources.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A Redis whose master can lose what it was told last. */
interface Site {
  readonly redis: OpenOptions['redis'];
  readonly detach: () => Promise<void>;
  readonly failOver: () => Promise<void>;
}

async function sentinelSite(): Promise<Site & { readonly sentinel: RedisSentinel }> {
  const sentinel = resources.use(await RedisSentinel.start());
  const { addresses: sentinels, name: sentinelName } = sentinel;
  return {
    sentinel,
    redis: { sentinels, sentinelName, ...PATIENT },
    detach: () => sentinel.detachReplica(),
    failOver: () => sentinel.failOver(),
  };
}

/** @param index which master loses its last second */
async function clusterSite(index: number): Promise<Site> {
  const cluster = resources.use(await RedisCluster.start({ appendonly: true }));
  return {
    redis: { cluster: cluster.addresses, ...PATIENT },
    detach: () => detachReplicas(cluster.masters[index] as RedisServer),
    failOver: () => cluster.failOver(index),
  };
}

/** What a test does at a step, or at a line of the log. */
type Moments = Readonly<Record<string, 'detach' | 'failOver'>>;

/** Runs each moment once. */
function hooksFor(site: Site, moments: Moments): Pick<OpenOptions, 'onStep' | 'logger'> {
  const left = new Map(Object.entries(moments));
  const reach = async (moment: string): Promise<void> => {
    const what = left.get(moment);
    left.delete(moment);
    if (what === 'detach') await site.detach();
    if (what === 'failOver') await site.failOver();
  };
  const telling = new RecordingLogger();
  logger = telling;
  const warn = telling.warn.bind(telling);
  telling.warn = (message, data) => {
    warn(message, data);
    void reach(message);
  };
  return { onStep: reach, logger: telling };
}

async function using<T>(
  site: Site,
  changes: Partial<OpenOptions>,
  use: (database: CredentialDatabase) => Promise<T>,
): Promise<T> {
  const collections = { server: SPREAD, user: USER };
  const database = await CredentialDatabase.open({
    redis: site.redis,
    collections,
    custody,
    dataDir,
    encrypt: true,
    logger,
    ...changes,
  });
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

const WAITING = 'Waiting until what was written is safe';
const keyIds = async (): Promise<readonly string[]> => (await custody.load()).ring.ids;
const backups = (): readonly string[] =>
  readdirSync(dataDir).filter((name) => /^encryption-backup.*\.json$/.test(name));

describe.each([
  ['with sentinels', sentinelSite],
  ['on a cluster, of the master of the seal', () => clusterSite(1)],
  ['on a cluster, of the master of most records', () => clusterSite(2)],
])('%s', (_where, startSite: () => Promise<Site>) => {
  test('an encryption goes through the records again, and keeps its backup', async () => {
    const site = await startSite();
    const before = await using(site, { encrypt: false }, async (database) => {
      await fill(database, 60);
      return contents(database);
    });
    const hooks = hooksFor(site, { 'backup-sealed': 'detach', [WAITING]: 'failOver' });
    const status = await using(site, hooks, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await contents(database)).toEqual(before);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 61 });
      return database.status();
    });
    expect(logger.lines.map(({ message }) => message)).toContain(WAITING);
    // Where the cluster knows of the old master only as a master, nothing is away.
    expect(backups().length > 0).toBe(status.keptFilesBecause !== null);
  }, 120_000);

  test('a rotation goes on with both keys until it is safe', async () => {
    const site = await startSite();
    const before = await using(site, {}, async (database) => {
      await fill(database, 60);
      return contents(database);
    });
    const hooks = hooksFor(site, { 'rotate-active': 'detach', 'refile-verified': 'failOver' });
    await using(site, hooks, async (database) => {
      await expect(database.rotateKey()).rejects.toMatchObject({
        code: 'OPERATION_REFUSED',
        message: expect.stringContaining('do not follow it'),
      });
      expect(await contents(database)).toEqual(before);
    });
    await using(site, {}, async (database) => {
      expect(await contents(database)).toEqual(before);
      expect(await database.settled()).toBeUndefined();
      expect(database.inactiveKeyIds).toHaveLength(1);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 61 });
      expect(await contents(database)).toEqual(before);
    });
    expect(await keyIds()).toHaveLength(2);
  }, 120_000);

  test('a decryption goes through the records again, and keeps its keys', async () => {
    const site = await startSite();
    const before = await using(site, {}, async (database) => {
      await fill(database, 60);
      return contents(database);
    });
    const hooks = hooksFor(site, { 'backup-sealed': 'detach', [WAITING]: 'failOver' });
    await using(site, { ...hooks, encrypt: false }, async (database) => {
      expect(database.state).toBe('plaintext');
      expect(await contents(database)).toEqual(before);
      const { keptKeysBecause } = await database.status();
      expect((await keyIds()).length > 0).toBe(keptKeysBecause !== null);
    });
  }, 120_000);
});

test('inactive keys are kept while a replica does not follow', async () => {
  const site = await sentinelSite();
  const before = await using(site, {}, async (database) => {
    await fill(database, 60);
    await database.rotateKey();
    await site.detach();
    await expect(database.deleteInactiveKeys()).rejects.toMatchObject({
      message: expect.stringMatching(/inactive keys are kept: .*do not follow it/),
    });
    return contents(database);
  });
  await site.failOver();
  expect(await keyIds()).toHaveLength(2);
  await using(site, {}, async (database) => expect(await contents(database)).toEqual(before));
}, 120_000);

test('sentinels that forget a server that is gone let the backup of an encryption go', async () => {
  const site = await sentinelSite();
  await using(site, { encrypt: false }, async (database) => fill(database, 20));
  const hooks = hooksFor(site, { 'backup-sealed': 'detach', [WAITING]: 'failOver' });
  await using(site, hooks, async (database) => {
    const { keptFilesBecause } = await database.status();
    expect(keptFilesBecause).toContain('have the cluster or the sentinels forget them');
  });
  expect(backups()).toHaveLength(1);
  await site.sentinel.forgetOldMaster();
  await using(site, {}, async (database) => {
    expect((await database.status()).keptFilesBecause).toBeNull();
  });
  expect(readdirSync(dataDir)).toEqual(['vault-state']);
}, 120_000);
