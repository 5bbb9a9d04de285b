/** A Redis database that belongs to another system is refused before anything is written there, even for a moment. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { documentedAcl } from '../../../test/harness/documented-acl.js';
import { RedisCluster } from '../../../test/harness/redis-cluster.js';
import { acceptDatabase } from '../src/recover/accept.js';
import { archiveDatabase } from '../src/recover/archive.js';
import type { OpenOptions } from '../src/open-options.js';
import { contents, DatabaseFixture, fill, USER } from './database-fixture.js';
import { SERVER } from './store-fixture.js';

let fixture: DatabaseFixture;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.stop();
});

/** Writes that this Redis has ever done, scripts included. */
async function writes(client: Redis): Promise<number> {
  const info = await client.info('persistence');
  return Number(/rdb_changes_since_last_save:(\d+)/.exec(info)?.[1]);
}

async function layOutOrchestra(client: Redis): Promise<void> {
  await client.sadd('xo::namespaces', 'server');
  await client.sadd('xo:server_ids', 'a-1');
  await client.set('xo:server:a-1', 'enc:AAAA');
}

function options(changes: Partial<OpenOptions> = {}): OpenOptions {
  return {
    redis: { socketPath: fixture.redis.socketPath ?? '', maxRetriesPerRequest: 1 },
    collections: { server: SERVER, user: USER },
    custody: fixture.custody,
    dataDir: fixture.dataDir,
    encrypt: true,
    ...changes,
  };
}

describe('a Redis that has the sign of a Xen Orchestra', () => {
  beforeEach(async () => {
    await layOutOrchestra(fixture.client);
  });

  it.each<[string, Partial<OpenOptions>]>([
    ['encryption on', { encrypt: true }],
    ['encryption off', { encrypt: false }],
    ['a prefix of its own', { encrypt: true, prefix: 'mine' }],
    ['its prefix', { encrypt: true, prefix: 'xo' }],
    ['a tool', { encrypt: true, role: 'tool' }],
  ])('is refused with %s, and nothing is written', async (_what, changes) => {
    const before = await writes(fixture.client);
    const { reason, details } = await fixture.openDegraded(changes);
    expect(reason).toBe('foreignRedis');
    expect(details.cause).toContain(
      'xo::namespaces, the sign of a Xen Orchestra, and 2 other keys that begin with "xo:"',
    );
    expect(details.advice).toContain('another database number, or another Redis');
    expect(await writes(fixture.client)).toBe(before);
    expect(fixture.files()).toEqual([]);
    expect((await fixture.custody.load()).ring.ids).toEqual([]);
  });

  it('is refused by a server that knows another database, and cannot be accepted or archived', async () => {
    const other = await DatabaseFixture.start();
    await fixture.using({ redis: { socketPath: other.redis.socketPath ?? '' } }, (database) =>
      fill(database, 1),
    );
    await other.stop();
    const before = await writes(fixture.client);
    const files = fixture.files();
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignRedis' });
    await expect(acceptDatabase(options())).rejects.toMatchObject({ reason: 'foreignRedis' });
    await expect(archiveDatabase(options())).rejects.toMatchObject({ reason: 'foreignRedis' });
    expect(await writes(fixture.client)).toBe(before);
    expect(fixture.files()).toEqual(files);
  });

  it('is found by a user who may touch nothing but the prefix', async () => {
    await fixture.client.call('ACL', 'SETUSER', 'vault', ...documentedAcl('password'));
    const socketPath = fixture.redis.socketPath ?? '';
    const redis = { socketPath, username: 'vault', password: 'password', maxRetriesPerRequest: 1 };
    const error = await fixture.openDegraded({ redis });
    expect(error).toMatchObject({ reason: 'foreignRedis' });
    expect(error.details.cause).toContain('xo::namespaces');
  });

  it('is not looked at where our seal stands: that database is ours, whoever moved in later', async () => {
    await fixture.client.flushall();
    const records = await fixture.using({}, async (database) => {
      await fill(database, 2);
      return contents(database);
    });
    await layOutOrchestra(fixture.client);
    expect(await fixture.using({}, contents)).toEqual(records);
    // Nor where the seal was lost and witness and fences agree.
    await fixture.client.del('vault:{meta}:seal');
    expect(await fixture.using({}, contents)).toEqual(records);
  });
});

it('a Redis cluster is refused whichever master has the sign', async () => {
  const cluster = await RedisCluster.start();
  try {
    const redis = { cluster: cluster.addresses };
    const client = cluster.client();
    await client.sadd('xo::namespaces', 'server');
    expect(await fixture.openDegraded({ redis })).toMatchObject({ reason: 'foreignRedis' });
    await client.del('xo::namespaces');
    await client.set('vault:of-another', 'x');
    expect(await fixture.openDegraded({ redis })).toMatchObject({ reason: 'foreignRedis' });
    await client.del('vault:of-another');
    await fixture.using({ redis }, (database) => fill(database, 1));
  } finally {
    await fixture.closeAll();
    await cluster.stop();
  }
});

describe('a Redis with other keys under our prefix and no seal', () => {
  it.each(['vault:config', 'vault:{meta}:other', 'vault:{server}:unknown'])(
    'such as %s is refused, counted and not named, and nothing is written',
    async (name) => {
      await fixture.client.set(name, 'of another');
      const before = await writes(fixture.client);
      for (const encrypt of [true, false]) {
        // oxlint-disable-next-line no-await-in-loop -- one start after the other
        const { reason, details } = await fixture.openDegraded({ encrypt });
        expect(reason).toBe('foreignRedis');
        expect(details.cause).toContain('1 key that begin with "vault:"');
        expect(details.advice).toContain('another prefix');
      }
      await expect(acceptDatabase(options())).rejects.toMatchObject({ reason: 'foreignRedis' });
      expect(await writes(fixture.client)).toBe(before);
      expect(fixture.files()).toEqual([]);
    },
  );

  it('that are records as we write them, and a server that knows of none: the operator decides', async () => {
    const records = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 2);
      return contents(database);
    });
    await fixture.client.del('vault:{meta}:seal');
    fixture.removeFile('vault-state');
    const before = await writes(fixture.client);
    const { reason, details } = await fixture.openDegraded();
    expect(reason).toBe('foreignDatabase');
    expect(details.cause).toMatch(/has \d+ keys of a database of this kind .* but no seal/);
    expect(details.advice).toContain('vault-server accept-database');
    expect(await writes(fixture.client)).toBe(before);
    expect(await acceptDatabase({ ...options(), allowUnprotected: true })).toMatchObject({
      basis: 'nothing',
    });
    expect(await fixture.using({}, contents)).toEqual(records);
  });

  it('that a start left which was killed early is taken for empty', async () => {
    await fixture.client.zadd('vault:{meta}:processes', 0, 'x');
    await fixture.client.set('vault:{meta}:encryptions:0123456789abcdef', '1');
    const database = await fixture.open();
    expect(database.state).toBe('encrypted');
  });

  it('outside the prefix only is shared as ever', async () => {
    await fixture.client.set('vaulted', 'x');
    await fixture.client.set('application:vault:x', 'x');
    await fixture.client.set('xo-like', 'x');
    await fixture.using({}, (database) => fill(database, 1));
    expect(await fixture.client.get('vaulted')).toBe('x');
  });
});
