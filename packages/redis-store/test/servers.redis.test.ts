/** The life of a database on every Redis and Valkey that this machine has. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { redisPrograms } from '../../../test/harness/redis-servers.js';
import { RedisServer } from '../../../test/harness/redis.js';
import { contents, DatabaseFixture, fill } from './database-fixture.js';

/** Commands of this word that the server was sent since it started, those of scripts included. */
async function callsOf(fixture: DatabaseFixture, command: string): Promise<number> {
  const stats = await fixture.client.info('commandstats');
  const match = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats);
  return Number(match?.[1] ?? 0);
}

describe.each(redisPrograms())('$name', ({ binary }) => {
  let fixture: DatabaseFixture;
  beforeAll(async () => {
    fixture = await DatabaseFixture.start({ binary, appendonly: true });
  });
  afterAll(async () => {
    await fixture.stop();
  });

  test('encrypts a live database, verifies it, leaves nothing on its disk, and decrypts it again', async () => {
    await fixture.reset();
    const before = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 600);
      return contents(database);
    });
    expect(fixture.isInRedisFiles('SECRET-1')).toBe(true);
    await fixture.using({ encrypt: true }, async (database) => {
      expect(await contents(database)).toEqual(before);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 601 });
      expect(await fixture.dump()).not.toMatch(/marker|SECRET/i);
    });
    expect(fixture.isInRedisFiles('SECRET-1')).toBe(false);
    await fixture.using({ encrypt: false }, async (database) => {
      expect(await contents(database)).toEqual(before);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 601 });
    });
    expect((await fixture.custody.load()).ring.ids).toEqual([]);
  });

  test('rotates, deletes the inactive key, and imports', async () => {
    await fixture.reset();
    await fixture.using({ encrypt: true }, async (database) => {
      await fill(database, 300);
      const before = await contents(database);
      await database.rotateKey();
      expect(await contents(database)).toEqual(before);
      await database.deleteInactiveKeys();
      expect((await fixture.custody.load()).ring.ids).toHaveLength(1);
      const spool = await database.openImport();
      await spool.add('server', 'server-00000', { host: 'imported.example' });
      await database.import(spool);
      expect((await database.collection('server').get('server-00000'))?.record).toEqual({
        host: 'imported.example',
      });
      expect(await database.verify()).toMatchObject({ isSound: true, records: 301 });
    });
  });

  test('is killed in the middle of a migration, comes back, and the next start goes on', async () => {
    await fixture.reset();
    await fixture.using({ encrypt: false }, async (database) => fill(database, 600));
    let batches = 0;
    const onStep = async (step: string): Promise<void> => {
      if (step !== 'encrypt-batch' || ++batches !== 2) return;
      await fixture.redis.kill();
      throw new Error('stopped here');
    };
    expect(await fixture.openDegraded({ encrypt: true, onStep })).toMatchObject({
      reason: 'migrationFailed',
    });
    await fixture.redis.restart();
    // Of this process, which lives: it would be waited for.
    await fixture.client.del('vault:{meta}:lock');
    await fixture.using({ encrypt: true }, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 601 });
    });
    expect(fixture.isInRedisFiles('SECRET-1')).toBe(false);
  });

  test('that syncs every second is waited for, or made to rewrite its file, before a key goes', async () => {
    const redis = await RedisServer.start({
      binary,
      config: ['appendonly yes', 'appendfsync everysec'],
    });
    const everySecond = DatabaseFixture.of(redis);
    try {
      await everySecond.using({ encrypt: true }, async (database) => fill(database, 50));
      await everySecond.client.config('RESETSTAT');
      await everySecond.using({ encrypt: false }, async (database) => {
        expect(await database.verify()).toMatchObject({ isSound: true, records: 51 });
      });
      expect((await everySecond.custody.load()).ring.ids).toEqual([]);
      const knowsWaitAof = await everySecond.client
        .call('COMMAND', 'INFO', 'waitaof')
        .then((reply) => (reply as unknown[])[0] !== null);
      // How often depends on how many changes of the state there are.
      const isCalled = {
        waitaof: (await callsOf(everySecond, 'waitaof')) > 0,
        bgrewriteaof: (await callsOf(everySecond, 'bgrewriteaof')) > 0,
      };
      expect(isCalled).toEqual({ waitaof: knowsWaitAof, bgrewriteaof: !knowsWaitAof });
    } finally {
      await everySecond.stop();
    }
  });
});
