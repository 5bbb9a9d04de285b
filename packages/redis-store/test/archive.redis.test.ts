/** A database is put aside whole, and back again, whenever the power goes. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archiveDatabase } from '../src/recover/archive.js';
import { restoreArchive } from '../src/recover/restore-archive.js';
import type { ArchiveOptions } from '../src/recover/alone.js';
import type { ArchiveReport } from '../src/recover/archive.js';
import type { DegradedError } from '../src/errors.js';
import { staticCustody } from '../src/keys/static-custody.js';
import { contents, DatabaseFixture, fill } from './database-fixture.js';

let fixture: DatabaseFixture;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.closeAll();
  await fixture.reset();
});
afterAll(async () => {
  await fixture.stop();
});

const RECORDS = 150;

function options(changes: Partial<ArchiveOptions> = {}): ArchiveOptions {
  return {
    redis: { socketPath: fixture.redis.socketPath ?? '' },
    custody: staticCustody(),
    dataDir: fixture.dataDir,
    ...changes,
  };
}
const archive = (changes: Partial<ArchiveOptions> = {}): Promise<ArchiveReport> =>
  archiveDatabase(options(changes));

/** Every key that belongs to the database. */
async function ownKeys(): Promise<string[]> {
  const keys = await fixture.client.keys('vault:*');
  return keys.filter((key) => !/:\{meta\}:(?:lock|process)/.test(key)).toSorted();
}

async function encrypted(): Promise<unknown> {
  return fixture.using({}, async (database) => {
    await fill(database, RECORDS);
    return contents(database);
  });
}

/** Puts an archive back, as an operator does once the keys are found. */
async function putBack(path: string): Promise<unknown> {
  await restoreArchive(path, options());
  return fixture.using({}, async (database) => {
    expect(await database.verify()).toMatchObject({ isSound: true });
    return contents(database);
  });
}

describe('archiving a database', () => {
  it('leaves no key of ours, no value in the file, and foreign keys alone', async () => {
    await encrypted();
    await fixture.client.mset('other', 'x', 'vault:{server}:foreign', 'y', 'vault:z', 'z');
    const before = await ownKeys();
    const report = await archive();
    expect(await fixture.client.keys('*')).toEqual(
      expect.arrayContaining(['other', 'vault:{server}:foreign', 'vault:z']),
    );
    expect(await ownKeys()).toEqual(['vault:z', 'vault:{server}:foreign']);
    expect(report.keys).toBe(before.length - 2);
    expect(statSync(report.path ?? '').mode & 0o777).toBe(0o400);
    expect(readFileSync(report.path ?? '', 'utf8')).not.toMatch(/SECRET|marker\.example/i);
    expect(report.formerWitness).toMatch(/vault-state\.replaced-\d+$/);
    await fixture.using({ custody: staticCustody() }, async (database) => {
      expect(await database.collection('server').count()).toBe(0);
    });
  });

  it('keeps its key from being deleted as inactive', async () => {
    await encrypted();
    const { path = '' } = await archive();
    await fixture.using({}, async (database) => {
      const { previousKeyId } = await database.rotateKey();
      await expect(database.deleteInactiveKeys()).rejects.toThrow(
        `${path} holds records under the key ${previousKeyId}`,
      );
      rmSync(path);
      expect((await database.deleteInactiveKeys()).deletedKeys).toEqual([previousKeyId]);
    });
  });

  it('comes back with every record and index entry', async () => {
    const before = await encrypted();
    const { path = '' } = await archive();
    await fixture.using({ custody: staticCustody() }, async (database) => fill(database, 2));
    expect(await putBack(path)).toEqual(before);
  });

  it.each([
    'archive-written',
    'archive-announced',
    'archive-seal-removed',
    'archive-fences-removed',
    'archive-batch-removed',
    'archive-removed',
  ])('killed at %s: nothing half is served, the next call goes on, nothing is lost', async (at) => {
    const before = await encrypted();
    let announced: string | undefined;
    const stopped = archive({
      onArchived: async (path) => {
        announced = path;
        return Promise.resolve();
      },
      onStep: (step) => (step === at ? Promise.reject(new Error('stopped')) : Promise.resolve()),
    });
    await expect(stopped).rejects.toThrow('stopped');

    // Whoever has the right keys serves either everything or nothing.
    const served = fixture.using({}, contents).catch(({ reason }: DegradedError) => reason);
    expect([before, 'foreignDatabase']).toContainEqual(await served);

    const again = await archive();
    expect(await ownKeys()).toEqual([]);
    expect(await putBack(announced ?? again.path ?? '')).toEqual(before);
  });

  it('removes nothing more once another process has the lock, though it slept through that', async () => {
    await encrypted();
    const stopped = archive({
      onStep: async (step) => {
        if (step === 'archive-fences-removed')
          await fixture.client.set('vault:{meta}:lock', 'other');
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
    expect(await fixture.client.keys('vault:{server}:r:*')).toHaveLength(RECORDS);
    await fixture.client.del('vault:{meta}:lock');
  });

  it('is refused while another process serves the database', async () => {
    const database = await fixture.open();
    await expect(archive()).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
    expect(await database.collection('server').count()).toBe(0);
    expect(fixture.files()).not.toContainEqual(expect.stringContaining('archived'));
  });

  it.each<[string, (text: string) => string]>([
    ['cut', (text) => text.slice(0, -200)],
    ['altered', (text) => text.replace('"dump":"A', '"dump":"B')],
    ['no archive', () => '{"format":"vault-config-backup"}\n'],
  ])('an archive that is %s is refused, and nothing is changed', async (_, change) => {
    await encrypted();
    const { path = '' } = await archive();
    await fixture.using({}, async (database) => fill(database, 1));
    chmodSync(path, 0o600);
    const altered = join(fixture.dataDir, 'altered.jsonl');
    writeFileSync(altered, change(readFileSync(path, 'utf8')));
    const before = await fixture.dump();
    await expect(restoreArchive(altered, options())).rejects.toMatchObject({
      code: 'OPERATION_REFUSED',
    });
    expect(await fixture.dump()).toBe(before);
  });
});
