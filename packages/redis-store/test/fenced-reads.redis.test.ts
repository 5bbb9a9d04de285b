/**
 * A process that slept, or was cut off from Redis, while others changed the database: at its first read it serves nothing of
 * the state that it knew, nothing that somebody planted meanwhile, and does not take for absent what lies elsewhere now.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RedisCluster } from '../../../test/harness/redis-cluster.js';
import { Resources } from '../../../test/harness/resources.js';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import type { Verdict } from '../../../test/harness/tcp-proxy.js';
import type { CredentialDatabase } from '../src/credential-database.js';
import type { OpenOptions } from '../src/open-options.js';
import type { Collection } from '../src/collections/collection.js';
import type { CollectionDefinition } from '../src/records/collection-definition.js';
import { DatabaseFixture } from './database-fixture.js';
import { linkStore, newKey, SERVER, viewOf } from './store-fixture.js';

const RECORD_KEY = 'vault:{server}:r:a';
const EXACT: CollectionDefinition = {
  ...SERVER,
  indexes: { username: { kind: 'exact', fields: ['username'] } },
};
const SPREAD: CollectionDefinition = { ...EXACT, partitions: 16 };

const resources = new Resources();
let fixture: DatabaseFixture;
beforeEach(async () => {
  fixture = resources.use(await DatabaseFixture.start());
});
afterEach(() => resources.stop());

/** A process on a machine of its own, which can be cut off from Redis. */
class CutOff {
  readonly #proxy: TcpProxy;
  readonly #database: CredentialDatabase;
  #isHeld = false;
  #open: () => void = () => undefined;

  private constructor(proxy: TcpProxy, database: CredentialDatabase) {
    this.#proxy = proxy;
    this.#database = database;
  }

  static async start(changes: Partial<OpenOptions> = {}): Promise<CutOff> {
    const { redis } = fixture;
    const proxy = resources.use(await TcpProxy.start({ target: { path: redis.socketPath ?? '' } }));
    const dataDir = mkdtempSync(join(tmpdir(), 'vault-cut-off-'));
    resources.defer(() => rmSync(dataDir, { recursive: true }));
    const database = await fixture.open({ redis: { url: proxy.url }, dataDir, ...changes });
    resources.defer(() => database.close());
    return new CutOff(proxy, database);
  }

  get servers(): Collection {
    return this.#database.collection('server');
  }

  /** Nothing that it asks reaches Redis from now on, and its heartbeat ended long ago. */
  async hold(): Promise<void> {
    const held = new Promise<void>((resolve) => (this.#open = resolve));
    this.#proxy.intercept = async ({ direction }): Promise<Verdict> => {
      if (direction === 'request') await held;
      return 'pass';
    };
    this.#isHeld = true;
    await fixture.client.del(await fixture.client.keys('vault:{meta}:process:*'));
  }

  /** All that it asked reaches Redis. */
  letGo(): void {
    if (!this.#isHeld) throw new TypeError('it is not held');
    this.#open();
  }
}

/** Every way to read; each gives what it shows of record `a`. */
const READS: Readonly<Record<string, (servers: Collection) => Promise<unknown>>> = {
  get: async (servers) => (await servers.get('a'))?.record,
  getMany: async (servers) => servers.getMany(['a']),
  list: async (servers) => (await servers.list()).records,
  'find without an index': async (servers) => servers.find({ label: 'old' }),
};

async function told(reading: Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await reading);
  } catch (error) {
    return String(error);
  }
}

describe.each(Object.entries(READS))('%s, asked before and executed after', (_, read) => {
  test('a rotation and the deletion of the old key: an old record that was put back is not served', async () => {
    const cutOff = await CutOff.start();
    const driver = await fixture.open();
    await driver.collection('server').add({ host: 'a', label: 'old' }, { id: 'a' });
    const old = (await fixture.client.getBuffer(RECORD_KEY)) ?? '';
    await driver.collection('server').set('a', { label: 'new' });
    await cutOff.hold();
    const reading = told(read(cutOff.servers));
    await driver.rotateKey();
    await driver.deleteInactiveKeys();
    await driver.close();
    await fixture.client.set(RECORD_KEY, old);
    cutOff.letGo();
    expect(await reading).not.toContain('old');
  });

  test('an encryption: plaintext that was planted is not served', async () => {
    await fixture.using({ encrypt: false }, (database) =>
      database.collection('server').add({ host: 'a', label: 'x' }, { id: 'a' }),
    );
    const cutOff = await CutOff.start({ encrypt: false });
    await cutOff.hold();
    const reading = told(read(cutOff.servers));
    await fixture.using({}, async () => undefined);
    await fixture.client.set(RECORD_KEY, '{"host":"a","label":"old"}');
    cutOff.letGo();
    expect(await reading).toMatch(/degraded/);
  });

  test('a decryption: an envelope of before is not served', async () => {
    const driver = await fixture.open();
    await driver.collection('server').add({ host: 'a', label: 'old' }, { id: 'a' });
    const old = (await fixture.client.getBuffer(RECORD_KEY)) ?? '';
    const cutOff = await CutOff.start();
    await driver.close();
    await cutOff.hold();
    const reading = told(read(cutOff.servers));
    await fixture.using({ encrypt: false }, async () => undefined);
    await fixture.client.set(RECORD_KEY, old);
    cutOff.letGo();
    expect(await reading).toMatch(/degraded/);
  });
});

test.each(Object.entries({ ...READS, count: async (servers: Collection) => servers.count() }))(
  '%s does not take for absent what lies in other partitions now',
  async (_, read) => {
    await fixture.using({ collections: { server: EXACT } }, (database) =>
      database.collection('server').add({ host: 'a', label: 'old' }, { id: 'a' }),
    );
    const cutOff = await CutOff.start({ collections: { server: EXACT } });
    await cutOff.hold();
    const reading = told(read(cutOff.servers));
    await fixture.using({ collections: { server: SPREAD } }, async () => undefined);
    cutOff.letGo();
    expect(await reading).toMatch(/Error|old/);
  },
);

test('what it wants to remove and change is not said to be gone', async () => {
  await fixture.using({ collections: { server: EXACT } }, (database) =>
    database.collection('server').add({ host: 'a' }, { id: 'a' }),
  );
  const cutOff = await CutOff.start({ collections: { server: EXACT } });
  await cutOff.hold();
  const { servers } = cutOff;
  const calls = [servers.remove('a'), servers.set('a', { label: 'b' })].map(told);
  await fixture.using({ collections: { server: SPREAD } }, async () => undefined);
  cutOff.letGo();
  for (const answer of await Promise.all(calls)) expect(answer).toMatch(/degraded/);
});

test('in a cluster every partition is judged by its own fence', async () => {
  const cluster = resources.use(await RedisCluster.start());
  const [before, after] = [newKey(), newKey()];
  const asleep = await linkStore({ cluster: cluster.addresses }, before, SPREAD);
  resources.defer(() => asleep.stop());
  const awake = await linkStore({ cluster: cluster.addresses }, before, SPREAD);
  resources.defer(() => awake.stop());
  const ids = Array.from({ length: 50 }, (_, i) => `id-${i}`);
  await Promise.all(ids.map((id) => awake.servers.add({ host: id }, { id })));
  // All records are as they were under the old key: whoever has the old view only would serve them.
  const next = viewOf(after, SPREAD, { epoch: 2 });
  await awake.raiseFences(next);
  asleep.views.next = next;
  const unreadable = { code: 'RECORD_UNREADABLE' };
  await expect(asleep.servers.get('id-1')).rejects.toMatchObject(unreadable);
  asleep.views.view = viewOf(before, SPREAD);
  const many = await asleep.servers.getMany(ids);
  expect(many).toEqual(many.map(() => expect.objectContaining(unreadable)));
  asleep.views.view = viewOf(before, SPREAD);
  expect(await asleep.servers.list({ limit: 50 })).toMatchObject({
    records: [],
    unreadable: ids.map(() => expect.objectContaining(unreadable)),
  });
});

test('a fence that is only on its way, or that somebody wrote over, keeps no read waiting', async () => {
  const database = await fixture.open();
  const servers = database.collection('server');
  await servers.add({ host: 'a' }, { id: 'a' });
  await fixture.client.set('vault:{server}:meta', 'of somebody else');
  expect((await servers.get('a'))?.record).toEqual({ host: 'a' });
  expect(await servers.count()).toBe(1);
  // The seal is the one that we know: whoever writes sets it right.
  expect(await fixture.client.get('vault:{server}:meta')).toBe('of somebody else');
  await servers.set('a', { label: 'b' });
  expect(await fixture.client.get('vault:{server}:meta')).toContain(database.databaseId);
});
