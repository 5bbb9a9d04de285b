import { createHash } from 'node:crypto';
import {
  createReadStream,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKey } from 'openpgp';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { DatabaseConfigBackup } from '../../src/backup/config-backup.js';
import { proveExport } from '../../src/backup/export-proof.js';
import { exportNote, readExportState } from '../../src/backup/export-state.js';
import { ScheduledExport } from '../../src/backup/scheduled-export.js';
import type { ScheduledExportOptions } from '../../src/backup/scheduled-export.js';
import { MemoryDatabase, SAMPLE } from './memory-database.js';

const PASSPHRASE = 'correct horse battery';
const resources = new Resources();
afterEach(() => resources.stop());

/** Where the result is kept; one for each test. */
let dataFolder: TemporaryFolder | undefined;
function dataDir(): string {
  dataFolder ??= resources.use(new TemporaryFolder('vault-data'));
  return dataFolder.path;
}
beforeEach(() => {
  dataFolder = undefined;
});

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

async function publicKey(): Promise<string> {
  const { publicKey: key } = await generateKey({ userIDs: [{ name: 'Operator' }] });
  return key;
}

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
    dataDir: dataDir(),
    logger: { ...SILENT, info: log, error: log },
    ...more,
  });
  await schedule.start();
  const logged = await line;
  await schedule.stop();
  return logged;
}

describe('a scheduled export', () => {
  it('sweeps away what a killed process left unfinished, and nothing that is being written', async () => {
    const at = resources.use(new TemporaryFolder('vault-export'));
    const part = (digit: string): string =>
      `vault-config_20261122T060500Z.json.gz.tmp-${digit.repeat(8)}-4711-0123456789abcdef`;
    const foreign = 'somebody-elses.tmp-file';
    for (const name of [part('1'), part('2'), foreign]) writeFileSync(at.join(name), 'plaintext');
    const before = new Date(Date.now() - 2 * 3_600_000);
    for (const name of [part('1'), foreign]) utimesSync(at.join(name), before, before);
    await exportOnce(at.path);
    const left = readdirSync(at.path).filter((name) => name.includes('.tmp-'));
    expect(left.toSorted()).toEqual([foreign, part('2')]);
  });

  it('is written at once where there is none, for its owner alone, and can be imported', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export')).join('exports');
    expect(await exportOnce(folder)).toBe('scheduled config backup written and proven');
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

  it('was proven by a dry-run import of the file, and the state says so', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    await exportOnce(folder.path);
    const [file = ''] = readdirSync(folder.path);
    expect(await readExportState(dataDir())).toEqual({
      lastTryAt: expect.stringMatching(/^\d{4}-/),
      lastResult: 'proven',
      reason: null,
      proven: {
        at: expect.stringMatching(/^\d{4}-/),
        file: folder.join(file),
        records: 3,
        proof: 'dry-run import',
      },
    });
    const settings = { datadir: dataDir(), 'backup.exportFolder': folder.path };
    expect(await exportNote(settings, Date.now() + 1000)).toMatchObject({
      scheduledExport: { provenAgeMs: expect.any(Number) },
    });
  });

  it('for a public key is proven to be what was written, for that key', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const recipientKey = await publicKey();
    expect(await exportOnce(folder.path, undefined, { protection: { recipientKey } })).toBe(
      'scheduled config backup written and proven',
    );
    const { proven } = (await readExportState(dataDir())) ?? {};
    expect(proven).toMatchObject({ records: 3, proof: 'checksum' });
  });

  it('that is damaged on its way to the disk is not proven, whoever it is for', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const path = folder.join('written');
    const backup = new DatabaseConfigBackup({
      database: new MemoryDatabase(SAMPLE),
      logger: SILENT,
    });
    const recipientKey = await publicKey();
    for (const protection of [{ passphrase: PASSPHRASE }, { recipientKey }]) {
      // oxlint-disable no-await-in-loop -- one file after the other
      const prepared = backup.exportFor(protection, { compress: true });
      const whole = await buffer(await prepared.open());
      const sha256 = createHash('sha256').update(whole).digest('hex');
      const written = { path, protection, records: prepared.records, sha256 };
      writeFileSync(path, whole);
      await expect(proveExport(written, backup)).resolves.toBeDefined();
      const turned = Buffer.from(whole);
      turned[whole.length - 30] = (whole[whole.length - 30] ?? 0) ^ 1;
      for (const damaged of [turned, whole.subarray(0, -1)]) {
        writeFileSync(path, damaged);
        await expect(proveExport(written, backup)).rejects.toMatchObject({
          code: expect.stringMatching(/^BACKUP_UN(?:PROVEN|READABLE)$/),
        });
      }
      writeFileSync(path, whole);
      const fewer = { ...written, records: 2, sha256: 'another' };
      await expect(proveExport(fewer, backup)).rejects.toMatchObject({ code: 'BACKUP_UNPROVEN' });
      // oxlint-enable no-await-in-loop
    }
    const other = { path, protection: { recipientKey: await publicKey() }, records: 3 };
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    await expect(proveExport({ ...other, sha256 }, backup)).rejects.toThrow('for the recipient');
  });

  it('leaves the newest, and files of others, where they are', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    const old = [
      'vault-config_20200101T000000Z.json.gz.pgp',
      'vault-config_20210101T000000Z.json.gz',
    ];
    for (const name of [...old, 'notes.txt']) writeFileSync(folder.join(name), '');
    expect(await exportOnce(folder.path)).toBe('scheduled config backup written and proven');
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
    expect(await readExportState(dataDir())).toMatchObject({
      lastResult: 'incomplete',
      reason: expect.stringContaining('server s1 (cannot be read'),
    });
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
      dataDir: dataDir(),
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
      dataDir: dataDir(),
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
    expect(await readExportState(dataDir())).toMatchObject({
      lastResult: 'failed',
      reason: expect.stringContaining('Redis is gone'),
      proven: null,
    });
  });

  it('is never made in clear from an encrypted database', async () => {
    const folder = resources.use(new TemporaryFolder('vault-export'));
    expect(await exportOnce(folder.path, undefined, { protection: undefined })).toBe(
      'scheduled config backup failed',
    );
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
