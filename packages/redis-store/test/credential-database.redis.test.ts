/** The main roads: encrypt a live database, serve it, decrypt it again. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KeyCustody } from '@vault/crypto';
import { contents, DatabaseFixture, fill } from './database-fixture.js';

let fixture: DatabaseFixture;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.stop();
});

const MARKERS = ['SECRET', 'marker', 'Marker', 'root1'];

describe('encrypting a live database', () => {
  it('encrypts every record, keeps every index, and leaves no plaintext anywhere', async () => {
    const before = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 40);
      return contents(database);
    });
    expect(fixture.isInRedisFiles('SECRET-7')).toBe(true);

    await fixture.using({ encrypt: true, ownRedis: true }, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await contents(database)).toEqual(before);
      expect(await database.verify()).toMatchObject({ isSound: true, records: 41 });
    });
    expect(fixture.files()).toEqual(['vault-state']);
    const dump = await fixture.dump();
    for (const marker of MARKERS) {
      expect(dump).not.toContain(marker);
      expect(fixture.isInRedisFiles(marker)).toBe(false);
    }
  });

  it('takes an old snapshot along where it makes none any more, and names it where Redis is of somebody else', async () => {
    const path = join(fixture.redis.folder, 'dump.rdb');
    const snapshot = async (): Promise<void> => {
      await fixture.client.config('SET', 'rdbcompression', 'no');
      await fixture.client.save();
      await fixture.client.config('SET', 'save', '');
    };
    await fixture.using({ encrypt: false }, async (database) => fill(database, 40));
    await snapshot();
    expect(readFileSync(path).includes('SECRET-7')).toBe(true);
    await fixture.using({ ownRedis: true }, async (database) => {
      expect((await database.status()).residueAdvice).toEqual([]);
    });
    expect(existsSync(path)).toBe(false);
    expect(fixture.isInRedisFiles('SECRET-7')).toBe(false);

    await fixture.using({ encrypt: false }, async () => undefined);
    await snapshot();
    await fixture.using({}, async (database) => {
      expect((await database.status()).residueAdvice.join()).toContain(`where ${path} is there`);
    });
    expect(JSON.stringify(fixture.logger.lines)).toContain(`where ${path} is there`);
    expect(existsSync(path)).toBe(true);
  });

  it('decrypts again, to the same records and indexes, and then deletes the keys', async () => {
    const before = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 25);
      return contents(database);
    });
    const plain = await fixture.dump();
    await fixture.using({ encrypt: true }, async () => undefined);
    expect((await fixture.custody.load()).ring.ids).toHaveLength(1);
    await fixture.using({ encrypt: false }, async (database) => {
      expect(database.state).toBe('plaintext');
      expect(await contents(database)).toEqual(before);
    });
    expect((await fixture.custody.load()).ring.ids).toEqual([]);
    expect(fixture.files()).toEqual(['vault-state']);
    const withoutState = (dump: string): string =>
      dump
        .split('\n')
        .filter((line) => !/meta|^\{"v":1|^-$/.test(line))
        .join('\n');
    expect(withoutState(await fixture.dump())).toBe(withoutState(plain));
  });

  it('says once what became of the keys: deleted, or left alone', async () => {
    await fixture.using({}, async () => undefined);
    fixture.logger.lines.length = 0;
    await fixture.using({ encrypt: false }, async () => undefined);
    const said = fixture.logger.lines.map(({ message }) => message);
    expect(said).toContain('The database is plaintext, and its keys are deleted');
    expect(said.filter((message) => message.includes('left alone'))).toEqual([]);
  });

  it('says of an empty database that it is encrypted from the start, and names no backup', async () => {
    await fixture.using({}, async () => undefined);
    const said = JSON.stringify(fixture.logger.lines);
    expect(said).toContain('encrypted from its first record on');
    expect(said).not.toMatch(/All records|encryption-backup/);

    await fixture.using({}, async (database) => fill(database, 4));
    await fixture.using({ encrypt: false }, async () => undefined);
    fixture.logger.lines.length = 0;
    await fixture.using({}, async () => undefined);
    expect(fixture.logger.lines).toContainEqual({
      level: 'info',
      message: 'All records are encrypted and verified',
      data: { keyId: expect.any(String) as unknown, records: 5 },
    });
  });

  it('serves plaintext where the keys cannot be removed, says so, and removes them at a later start', async () => {
    const { custody } = fixture;
    const before = await fixture.using({}, async (database) => {
      await fill(database, 3);
      return contents(database);
    });
    const readOnly: KeyCustody = {
      load: () => custody.load(),
      admit: (ids) => custody.admit(ids),
      append: (options) => custody.append(options),
      appendRefusal: () => custody.appendRefusal(),
      remove: () => Promise.reject(new Error('read-only file system')),
      condemn: (id, atMs) => custody.condemn(id, atMs),
      spare: (id) => custody.spare(id),
      putBack: (key) => custody.putBack(key),
      inventory: () => custody.inventory(),
    };
    for (let start = 0; start < 2; start++) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      await fixture.using({ encrypt: false, custody: readOnly }, async (database) => {
        expect(await contents(database)).toEqual(before);
        const { keptKeysBecause } = await database.status();
        expect(keptKeysBecause).toContain('could not be removed from their halves: read-only');
      });
    }
    expect((await custody.load()).ring.ids).toHaveLength(1);
    await fixture.using({ encrypt: false }, async (database) => {
      expect(await contents(database)).toEqual(before);
    });
    expect((await custody.load()).ring.ids).toEqual([]);
  });

  it('opens again and again without a migration', async () => {
    await fixture.using({}, async (database) => fill(database, 3));
    const { epoch } = await fixture.using({}, async (database) => database.status());
    expect(await fixture.using({}, async (database) => database.status())).toMatchObject({ epoch });
  });
});
