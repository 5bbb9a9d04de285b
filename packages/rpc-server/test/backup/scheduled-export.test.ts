import { createReadStream, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { DatabaseConfigBackup } from '../../src/backup/config-backup.js';
import { ScheduledExport } from '../../src/backup/scheduled-export.js';
import type { ScheduledExportOptions } from '../../src/backup/scheduled-export.js';
import { MemoryDatabase, SAMPLE } from './memory-database.js';

const PASSPHRASE = 'correct horse battery';
const resources = new Resources();
afterEach(() => resources.stop());

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** Starts a schedule, and stops it after its first export. @returns the first line that it logged */
async function exportOnce(
  folder: string,
  database = new MemoryDatabase(SAMPLE, true),
  more: Partial<ScheduledExportOptions> = {},
): Promise<string> {
  let log: (line: string) => void = () => undefined;
  const line = new Promise<string>((resolve) => {
    log = resolve;
  });
  const schedule = new ScheduledExport({
    backup: new DatabaseConfigBackup({ database, logger: SILENT }),
    protection: { passphrase: PASSPHRASE },
    folder,
    everyMs: 3_600_000,
    keep: 2,
    logger: { ...SILENT, info: log, error: log },
    ...more,
  });
  await schedule.start();
  const logged = await line;
  await schedule.stop();
  return logged;
}

describe('a scheduled export', () => {
  it('is written at once where there is none, for its owner alone, and can be imported', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export')).join('exports');
    expect(await exportOnce(folder)).toBe('scheduled config backup written');
    const [name = '', ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    expect(name).toMatch(/^vault-config_\d{8}T\d{6}Z\.json\.gz\.pgp$/);
    expect(statSync(`${folder}/${name}`).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);

    const target = new MemoryDatabase({});
    const backup = new DatabaseConfigBackup({ database: target, logger: SILENT });
    await backup.import(createReadStream(`${folder}/${name}`), { passphrase: PASSPHRASE });
    expect(Object.keys(target.content)).toEqual(['server', 'user']);
  });

  it('leaves the newest, and files of others, where they are', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const old = [
      'vault-config_20200101T000000Z.json.gz.pgp',
      'vault-config_20210101T000000Z.json.gz',
    ];
    for (const name of [...old, 'notes.txt']) writeFileSync(folder.join(name), '');
    expect(await exportOnce(folder.path)).toBe('scheduled config backup written');
    const names = readdirSync(folder.path);
    expect(names).toHaveLength(3);
    expect(names).toEqual(expect.arrayContaining(['notes.txt', old[1]]));
  });

  it('in which a record is missing says so, and pushes out no complete one', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const old = [1, 2, 3].map((month) => `vault-config_2020010${month}T000000Z.json.gz.pgp`);
    for (const name of old) writeFileSync(folder.join(name), '');
    const database = new MemoryDatabase(SAMPLE, true);
    database.damaged.add('s1');
    const [kept = '', newer = ''] = [old[1], old[2]];
    expect(await exportOnce(folder.path, database)).toContain('is not complete');
    const incomplete = readdirSync(folder.path).filter((name) => name.endsWith('.incomplete'));
    expect(incomplete).toHaveLength(1);
    expect(readdirSync(folder.path)).toEqual(expect.arrayContaining([kept, newer]));

    // Later ones, of which two are kept beside the two complete ones.
    for (const day of [2, 3]) {
      const name = `vault-config_2020020${day}T000000Z.json.gz.pgp.incomplete`;
      writeFileSync(folder.join(name), '');
    }
    rmSync(folder.join(incomplete[0] ?? ''));
    await exportOnce(folder.path, database);
    expect(readdirSync(folder.path)).toHaveLength(4);
    expect(readdirSync(folder.path)).toEqual(expect.arrayContaining([kept, newer]));
  });

  it('warns of plaintext ones from before the encryption', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const plain = 'vault-config_20210101T000000Z.json.gz';
    for (const name of [plain, `${plain}.pgp`]) writeFileSync(folder.join(name), '');
    const warned: unknown[] = [];
    const warn = (_message: string, data?: object) => void warned.push(data);
    let done: () => void = () => undefined;
    const written = new Promise<void>((resolve) => {
      done = resolve;
    });
    const schedule = new ScheduledExport({
      backup: new DatabaseConfigBackup({
        database: new MemoryDatabase(SAMPLE, true),
        logger: SILENT,
      }),
      protection: { passphrase: PASSPHRASE },
      folder: folder.path,
      everyMs: 3_600_000,
      keep: 5,
      logger: { ...SILENT, warn, info: () => done() },
    });
    await schedule.start();
    await written;
    await schedule.stop();
    expect(warned).toEqual([{ folder: folder.path, files: [plain] }]);
  });

  it('is not made again while the newest is young enough', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const stamp = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
    const young = `vault-config_${stamp}.json.gz.pgp`;
    writeFileSync(folder.join(young), '');
    const schedule = new ScheduledExport({
      backup: new DatabaseConfigBackup({ database: new MemoryDatabase(SAMPLE), logger: SILENT }),
      protection: undefined,
      folder: folder.path,
      everyMs: 3_600_000,
      keep: 2,
      logger: SILENT,
    });
    await schedule.start();
    // A timer of 0 ms, set after the schedule's own, fires after it.
    await setTimeout(1);
    await schedule.stop();
    expect(readdirSync(folder.path)).toEqual([young]);
  });

  it('fails with a line in the log, and leaves nothing half written', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const database = new MemoryDatabase(SAMPLE, true);
    database.failure = new Error('Redis is gone');
    expect(await exportOnce(folder.path, database)).toBe('scheduled config backup failed');
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('is never made in clear from an encrypted database', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    expect(await exportOnce(folder.path, undefined, { protection: undefined })).toBe(
      'scheduled config backup failed',
    );
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
