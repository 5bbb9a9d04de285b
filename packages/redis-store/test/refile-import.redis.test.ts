/** Changed definitions, and imports: both resume after a crash at any step. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PROCESS_PLACE } from '@vault/crypto/files';
import type { CollectionDefinition } from '../src/records/collection-definition.js';
import type { CredentialDatabase } from '../src/credential-database.js';
import type { DegradedError } from '../src/errors.js';
import type { QueryFields } from '../src/collections/collection-query.js';
import type { CredentialRecord } from '../src/records/json-record.js';
import type { OpenOptions } from '../src/open-options.js';
import { currentIdentity } from '../src/state/process-identity.js';
import { contents, DatabaseFixture, fill, USER } from './database-fixture.js';
import { SERVER } from './store-fixture.js';

const { host, ...otherIndexes } = SERVER.indexes;
/** Other indexes, another kind of one, and more partitions. */
const CHANGED: CollectionDefinition = {
  ...SERVER,
  indexes: {
    ...otherIndexes,
    host: { ...host, kind: 'exact', fields: ['host'] },
    byLabel: { kind: 'exact', fields: ['label'] },
  },
  partitions: 4,
};
const AFTER: Partial<OpenOptions> = { collections: { server: CHANGED, user: USER } };
/** A unique index that the records of {@link fill} contradict. */
const UNIQUE_NAMES = {
  server: {
    ...SERVER,
    indexes: { ...SERVER.indexes, username: { kind: 'unique', fields: ['username'] } },
  },
  user: USER,
} as const;
const { username: _gone, ...lessIndexes } = SERVER.indexes;
/** One index more, one less, in the same partitions. */
const OTHER_INDEXES = {
  server: {
    ...SERVER,
    indexes: { ...lessIndexes, byLabel: { kind: 'exact', fields: ['label'] } },
  },
  user: USER,
} as const;
const serverId = (n: number): string => `server-${String(n).padStart(5, '0')}`;

/** Where a step waits until it is let through; then all pass. */
class Gate {
  readonly reached: Promise<void>;
  #reach: () => void = () => undefined;
  #open: () => void = () => undefined;
  readonly #opened: Promise<void>;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  pass(): Promise<void> {
    this.#reach();
    return this.#opened;
  }

  open(): void {
    this.#open();
  }
}
const SERVED_IN_BOTH_FORMS =
  'Credential database migration failed - the database is served in both forms';
const RECORDS = 70;
const LOCK = 'vault:{meta}:lock';

let fixture: DatabaseFixture;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
beforeEach(async () => {
  await fixture.reset();
});
afterAll(async () => {
  await fixture.stop();
});

const CRASH = new Error('stopped by the test');
function crashAt(n: number): { options: Partial<OpenOptions>; steps: string[] } {
  const steps: string[] = [];
  const onStep = (step: string): Promise<void> =>
    steps.push(step) === n + 1 ? Promise.reject(CRASH) : Promise.resolve();
  return { options: { onStep }, steps };
}

async function isSound(database: CredentialDatabase): Promise<void> {
  expect(await database.verify()).toMatchObject({
    isSound: true,
    problems: [],
    records: RECORDS + 1,
  });
}

describe.each([true, false])('changed definitions, encryption %s', (encrypt) => {
  it('file every record anew, wherever it was stopped, and back again', async () => {
    for (let n = 0; ; n++) {
      await fixture.reset();
      const before = await fixture.using({ encrypt }, async (database) => {
        await fill(database, RECORDS);
        return contents(database);
      });
      const { options, steps } = crashAt(n);
      const isStopped = await fixture
        .using({ ...AFTER, ...options, encrypt }, async () => false)
        .catch(() => true);
      await fixture.using({ ...AFTER, encrypt }, async (database) => {
        await isSound(database);
        expect({ steps, contents: await contents(database) }).toEqual({ steps, contents: before });
      });
      const labels = (await fixture.client.keys('vault:{server}:*')).filter(
        (key) => !key.endsWith(':meta'),
      );
      expect(labels).toEqual([]);
      if (isStopped) continue;
      await fixture.using({ encrypt }, async (database) => {
        await isSound(database);
        expect(await contents(database)).toEqual(before);
      });
      break;
    }
  }, 120_000);

  it('are taken back when a unique index is contradicted', async () => {
    await fixture.using({ encrypt }, async (database) => fill(database, 5));
    const beside = await fixture.openBeside({ encrypt, collections: UNIQUE_NAMES });
    expect((await beside.settled())?.cause).toContain('unique index "username"');
    await beside.close();
    await fixture.using({ encrypt }, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 6 });
    });
  });

  it('come before a switch of the encryption, which says how to go on', async () => {
    await fixture.using({ encrypt }, async (database) => fill(database, 5));
    const stuck = await fixture.openBeside({ encrypt, collections: UNIQUE_NAMES });
    await stuck.settled();
    await stuck.close();
    const { details } = await fixture.openDegraded({
      encrypt: !encrypt,
      collections: UNIQUE_NAMES,
    });
    expect(details.advice).toMatch(/^put the index "username" of \[collections\.server\] back/);
    await fixture.using({ encrypt: !encrypt }, async (database) => {
      expect(database.isEncrypted).toBe(!encrypt);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 6 });
    });
  });

  it('are served while they are contradicted, and go on once they are not', async () => {
    await fixture.using({ encrypt }, async (database) => fill(database, 5));
    const database = await fixture.openBeside({ encrypt, collections: UNIQUE_NAMES });
    const servers = database.collection('server');
    const failure = await database.settled();
    const [, one = '', other = ''] =
      /(server-\d+) and (server-\d+)/.exec(failure?.cause ?? '') ?? [];
    expect(failure?.cause).toMatch(/^server: 2 records have the value of another in/);
    expect(failure?.advice).toMatch(/put the index "username" of \[collections\.server\] back/);
    expect((await database.status()).operation).toEqual({
      kind: 'reindex',
      failed: { cause: failure?.cause, advice: failure?.advice, nextAt: expect.any(String) },
    });
    expect((await servers.get(one))?.id).toBe(one);
    // The same name as another: three names for five records.
    expect((await database.retryOperation())?.cause).toContain('unique index "username"');
    // One line for a cause, however often it is met.
    const said = fixture.logger.lines.filter(({ message }) => message === SERVED_IN_BOTH_FORMS);
    expect(said.map(({ data }) => data)).toEqual([
      { cause: failure?.cause, advice: failure?.advice },
    ]);
    const { records } = await servers.list();
    for (const { id } of records) await servers.set(id, { username: `own-${id}` });
    expect(await database.retryOperation()).toBeUndefined();
    expect(await database.settled()).toBeUndefined();
    expect((await database.status()).operation).toBeNull();
    expect((await servers.find({ username: `OWN-${other}` })).map(({ id }) => id)).toEqual([other]);
    await expect(servers.add({ host: 'x', username: `own-${one}` })).rejects.toMatchObject({
      code: 'UNIQUE_CONFLICT',
    });
    expect(await database.verify()).toMatchObject({ isSound: true, records: 6 });
    await fixture.closeAll();
  });

  it('are made beside serving: what is found, written and removed meanwhile is right', async () => {
    await fixture.using({ encrypt }, async (database) => {
      await fill(database, 600);
      for (const n of [3, 599])
        await database.collection('server').set(serverId(n), { label: 'tagged' });
    });
    const halfway = new Gate();
    const database = await fixture.openBeside({
      encrypt,
      collections: OTHER_INDEXES,
      onStep: (step) => (step === 'refile-batch' ? halfway.pass() : Promise.resolve()),
    });
    const servers = database.collection('server');
    await halfway.reached;
    const found = async (query: QueryFields) => (await servers.find(query)).map(({ id }) => id);
    // By an index that is new, one that is gone, and one that stays; some records are filed anew by now, some not.
    expect(await found({ label: 'tagged' })).toEqual([serverId(3), serverId(599)]);
    expect(await found({ username: 'root1' })).toHaveLength(200);
    expect(await found({ host: 'host-598.marker.example' })).toEqual([serverId(598)]);
    expect((await database.status()).operation).toEqual({ kind: 'reindex', failed: null });
    const added = await servers.add({ host: 'added', label: 'tagged' });
    for (const n of [0, 3, 597, 599]) await servers.remove(serverId(n));
    for (const n of [1, 596])
      await servers.set(serverId(n), { label: 'tagged', username: 'moved' });
    expect(await found({ label: 'tagged' })).toEqual(
      [added, serverId(1), serverId(596)].toSorted(),
    );
    await expect(database.rotateKey()).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
    halfway.open();
    expect(await database.settled()).toBeUndefined();
    expect(await found({ label: 'tagged' })).toEqual(
      [added, serverId(1), serverId(596)].toSorted(),
    );
    expect(await found({ username: 'moved' })).toEqual([serverId(1), serverId(596)]);
    expect(await database.verify()).toMatchObject({ isSound: true, records: 598 });
    // Nothing of the index that is gone, nor of records that are.
    expect(await fixture.client.keys('vault:{server}:*:username:*')).toEqual([]);
    await fixture.closeAll();
  });

  it('end at once when the database is closed, and give the lock back', async () => {
    await fixture.using({ encrypt }, async (database) => fill(database, 600));
    const halfway = new Gate();
    const onStep = (step: string) => (step === 'refile-batch' ? halfway.pass() : Promise.resolve());
    const database = await fixture.openBeside({ encrypt, collections: OTHER_INDEXES, onStep });
    await halfway.reached;
    const closed = database.close();
    halfway.open();
    await closed;
    expect(await fixture.client.exists(LOCK)).toBe(0);
    expect(fixture.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
    await fixture.using({ encrypt, collections: OTHER_INDEXES }, async (again) => {
      expect(await again.verify()).toMatchObject({ isSound: true, records: 601 });
    });
  });

  it('leave no process to go on with what it knew before', async () => {
    const degraded: DegradedError[] = [];
    const old = await fixture.open({ encrypt, onDegraded: (error) => degraded.push(error) });
    await fill(old, 5);
    const more = {
      ...SERVER,
      indexes: { ...SERVER.indexes, byLabel: { kind: 'exact', fields: ['label'] } },
    } as const;
    await fixture.using({ encrypt, collections: { server: more, user: USER } }, async (changed) => {
      const writing = old.collection('server').add({ host: 'late', label: 'late' });
      await expect(writing).rejects.toMatchObject({ reason: 'startFailed' });
      expect(degraded.map(({ details }) => details.cause)).toEqual([
        'another process changed the collections of the database',
      ]);
      expect(await changed.verify()).toMatchObject({ isSound: true, records: 6 });
    });
    await fixture.closeAll();
  });

  it('hinder no process that knows nothing of a collection that was added', async () => {
    const old = await fixture.open({ encrypt });
    await fill(old, 5);
    const collections = { server: SERVER, user: USER, more: USER };
    await fixture.using({ encrypt, collections }, async (changed) => {
      const id = await old.collection('server').add({ host: 'late' });
      expect((await changed.collection('server').get(id))?.id).toBe(id);
      expect(await old.verify()).toMatchObject({ isSound: true, records: 7 });
    });
    await fixture.closeAll();
  });

  it('are refused when a collection that is gone has records', async () => {
    await fixture.using({ encrypt }, async (database) => fill(database, 5));
    const error = await fixture.openDegraded({ encrypt, collections: { server: SERVER } });
    expect(error.details.cause).toContain('user');
    await fixture.using({ encrypt }, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 6 });
    });
  });
});

describe('a preview of an import', () => {
  it('says what the import then does, and changes nothing', async () => {
    await fixture.using({ encrypt: true }, async (database) => {
      await fill(database, 5);
      const all: [string, string, CredentialRecord][] = [
        ['server', 'new', { host: 'new.example' }],
        ['server', 'new', { host: 'new.example', password: 'second' }],
        ['user', 'loses', { email: 'same@marker.example' }],
        ['user', 'wins', { email: 'Same@marker.example' }],
        ['user', 'ada-of-the-backup', { email: 'ADA@marker.example', pwHash: 'new' }],
        // Gone for the one before, and brought again, with another value.
        ['user', 'ada', { email: 'ada-2@marker.example' }],
      ];
      const [kept] = (await database.collection('server').list({ limit: 1 })).records;
      all.push(['server', kept?.id ?? '', kept?.record ?? {}]);
      const before = await fixture.dumpRecords();
      const preview = database.previewImport();
      const spool = await database.openImport();
      for (const [collection, id, record] of all) {
        // oxlint-disable no-await-in-loop -- in this order
        await preview.add(collection, id, record);
        await spool.add(collection, id, record);
        // oxlint-enable no-await-in-loop
      }
      const { changes, ...counts } = await preview.finish();
      expect(await fixture.dumpRecords()).toBe(before);
      expect(counts.replaced).toEqual([{ collection: 'user', id: 'loses' }]);
      expect(changes).toContainEqual({ collection: 'user', id: 'loses', change: 'removed' });
      expect(changes).toContainEqual({ collection: 'server', id: 'new', change: 'added' });
      const { records, collections, unchanged, replaced } = await database.import(spool);
      expect(counts).toMatchObject({ records, collections, unchanged, replaced });
      expect(unchanged).toBe(1);
    });
  });
});

describe.each([true, false])('an import, encryption %s', (encrypt) => {
  async function importAll(database: CredentialDatabase): Promise<unknown> {
    const spool = await database.openImport();
    for (let n = 0; n < 300; n++) {
      await spool.add('server', `imported-${n}`, {
        host: `h${n}.example`,
        password: `IMPORTED-${n}`,
      });
    }
    await spool.add('user', 'ada-of-the-backup', { email: 'ADA@marker.example', pwHash: 'new' });
    return database.import(spool);
  }

  it('writes by id, replaces who holds a unique value, and changes nothing the second time', async () => {
    await fixture.using({ encrypt }, async (database) => {
      await fill(database, 5);
      expect(await importAll(database)).toEqual({
        records: 301,
        collections: { server: 300, user: 1 },
        added: 301,
        changed: 0,
        unchanged: 0,
        replaced: [{ collection: 'user', id: 'ada' }],
      });
      const dump = await fixture.dumpRecords();
      expect(await importAll(database)).toMatchObject({
        records: 301,
        unchanged: 301,
        replaced: [],
      });
      expect(await fixture.dumpRecords()).toBe(dump);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 306 });
      const found = await database.collection('user').find({ email: 'ada@marker.example' });
      expect(found.map(({ id }) => id)).toEqual(['ada-of-the-backup']);
    });
    expect(fixture.files()).toEqual(['vault-state']);
  });

  it('with one id twice, and one value in two records, leaves the last of each', async () => {
    await fixture.using({ encrypt }, async (database) => {
      const spool = await database.openImport();
      await spool.add('server', 'twice', { host: 'first.example' });
      await spool.add('user', 'loses', { email: 'same@marker.example' });
      await spool.add('server', 'twice', { host: 'last.example' });
      await spool.add('user', 'wins', { email: 'Same@marker.example' });
      expect(await database.import(spool)).toMatchObject({
        records: 4,
        replaced: [{ collection: 'user', id: 'loses' }],
      });
      const { record } = (await database.collection('server').get('twice')) ?? {};
      expect(record?.['host']).toBe('last.example');
      expect(await database.collection('user').get('loses')).toBeUndefined();
      expect(await database.verify()).toMatchObject({ isSound: true, records: 2 });
    });
  });

  it('with one value in two records, both of one batch, leaves the last', async () => {
    await fixture.using({ encrypt }, async (database) => {
      const spool = await database.openImport();
      for (const id of ['first', 'second', 'third'])
        // oxlint-disable-next-line no-await-in-loop -- in this order
        await spool.add('user', id, { email: 'same@marker.example' });
      expect(await database.import(spool)).toMatchObject({
        records: 3,
        replaced: [
          { collection: 'user', id: 'first' },
          { collection: 'user', id: 'second' },
        ],
      });
      expect(await database.verify()).toMatchObject({ isSound: true, records: 1 });
    });
  });

  it('is rolled forward by the next start, wherever it was stopped', async () => {
    for (let n = 0; ; n++) {
      await fixture.reset();
      await fixture.using({ encrypt }, async (database) => fill(database, 5));
      let isImporting = false;
      let seen = 0;
      const onStep = (): Promise<void> =>
        isImporting && seen++ === n ? Promise.reject(CRASH) : Promise.resolve();
      const isStopped = await fixture.using({ encrypt, onStep }, async (database) => {
        isImporting = true;
        return importAll(database).then(
          () => false,
          () => true,
        );
      });
      await fixture.using({ encrypt }, async (database) => {
        expect(await database.verify()).toMatchObject({ isSound: true, records: 305 + 1 });
      });
      if (!isStopped) break;
    }
  }, 120_000);

  it('that was killed before the seal named it leaves no spool behind after the next start', async () => {
    const random = '0123456789abcdef';
    const dead = spawnSync('true').pid;
    const spools = [dead, process.ppid].map(
      (pid) => `import-${PROCESS_PLACE}-${pid}-${random}.spool`,
    );
    const temporary = `vault-state.tmp-${PROCESS_PLACE}-${dead}-${random}`;
    for (const name of [...spools, temporary])
      writeFileSync(join(fixture.dataDir, name), 'server x SECRET\n');
    await fixture.using({ encrypt }, async (database) => {
      expect(fixture.files()).toEqual([spools[1], 'vault-state']);
      const spool = await database.openImport();
      await fixture.using({ encrypt }, async () => undefined);
      expect(fixture.files()).toContain(spool.name);
      await spool.abort();
    });
  });

  it('that was killed with a command on its way keeps its spool until the lock is no more its own', async () => {
    await fixture.using({ encrypt }, async () => undefined);
    const dead = spawnSync('true').pid;
    const spool = `import-${PROCESS_PLACE}-${dead}-0123456789abcdef.spool`;
    writeFileSync(join(fixture.dataDir, spool), 'server x SECRET\n');
    const hold = async (pid: number): Promise<unknown> =>
      fixture.client.set(LOCK, `token ${JSON.stringify({ ...currentIdentity(), pid })}`);

    await hold(process.pid); // for all that is known of it, it may be the one whose command comes
    await fixture.using({ encrypt }, async () => expect(fixture.files()).toContain(spool));
    expect(await fixture.client.get(LOCK)).toMatch(/^token /);

    await hold(dead);
    await fixture.using({ encrypt }, async () => expect(fixture.files()).toEqual(['vault-state']));
    expect(await fixture.client.get(LOCK)).toBeNull();
  });

  it('that was begun under another key than the active one is refused, and hinders nothing', async () => {
    await fixture.using({}, async (database) => {
      await fill(database, 5);
      const spool = await database.openImport();
      await spool.add('server', 'imported', { host: 'imported' });
      await database.rotateKey();
      const refused = database.import(spool);
      await expect(refused).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
      await spool.abort();
      expect(await database.collection('server').get('imported')).toBeUndefined();
      await database.rotateKey();
    });
    await fixture.using({}, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 6 });
    });
  });

  it('of a record that does not fit is refused before anything changes', async () => {
    await fixture.using({ encrypt }, async (database) => {
      const spool = await database.openImport();
      await expect(spool.add('server', 'x', { host: 'a', nonsense: 1 })).rejects.toMatchObject({
        code: 'RECORD_INVALID',
      });
      await expect(spool.add('nothing', 'x', {})).rejects.toMatchObject({ code: 'RECORD_INVALID' });
      await spool.abort();
      expect(await database.collection('server').count()).toBe(0);
    });
    expect(fixture.files()).toEqual(['vault-state']);
  });
});
