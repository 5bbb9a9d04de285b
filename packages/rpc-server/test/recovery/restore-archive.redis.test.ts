/** `restore-archive` with its note: killed anywhere, no start serves what is half there, and the same command ends it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { archiveDatabase, inspectArchive } from '@vault/redis-store';
import type { CredentialDatabase } from '@vault/redis-store';
import { RedisServer } from '../../../../test/harness/redis.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { loadConfig } from '../../src/config/load-config.js';
import { openDatabase, openOptions } from '../../src/open-database.js';
import type { DatabaseParts } from '../../src/open-database.js';
import { RECOVERY_MARKER_FILE } from '../../src/recovery/recovery-marker.js';
import { restoreNotedArchive } from '../../src/recovery/restore-archive.js';
import type { RestoredArchive } from '../../src/recovery/restore-archive.js';
import { RecordingLogger } from '../api-fixture.js';

const SERVERS = 5;

const resources = new Resources();
let folder: TemporaryFolder;
let redis: RedisServer;
let parts: Omit<DatabaseParts, 'role'>;
let archive: string;
beforeEach(async () => {
  folder = resources.use(new TemporaryFolder('vault-restore-archive'));
  redis = resources.use(await RedisServer.start({ appendonly: true }));
  configure();
  await fill(SERVERS);
  const { path = '' } = await archiveDatabase(await openOptions({ ...parts, role: 'tool' }));
  archive = path;
  await fill(1);
});
afterEach(() => resources.stop());

function configure(): void {
  writeFileSync(
    folder.join('config.toml'),
    `datadir = "${folder.path}"
[redis]
socket = "${redis.socketPath ?? ''}"
encryptCredentialDatabase = true
[keystore]
halfA = { source = "file", path = "${folder.join('half-a')}" }
halfB = { source = "file", path = "${folder.join('half-b')}" }
`,
  );
  parts = {
    config: loadConfig({
      environment: {},
      configFile: folder.join('config.toml'),
      workingFolder: folder.path,
    }),
    redis: {
      options: { socketPath: redis.socketPath ?? '' },
      isOwn: false,
      stop: () => Promise.resolve(),
    },
    sources: {
      variables: {},
      dataDir: folder.path,
      userId: process.geteuid?.(),
      groupId: process.getegid?.(),
    },
    logger: new RecordingLogger(),
  };
}

async function open(): Promise<CredentialDatabase> {
  const database = await openDatabase({ ...parts, role: 'server' });
  resources.defer(() => database.close());
  return database;
}

async function fill(servers: number): Promise<void> {
  const database = await open();
  for (let n = 0; n < servers; n++) {
    // oxlint-disable-next-line no-await-in-loop -- a handful
    await database
      .collection('server')
      .add({ host: `xcp${n}`, username: 'root', password: 'x' }, { id: `id-${n}` });
  }
  await database.close();
}

async function restore(at?: string): Promise<RestoredArchive> {
  const options = await openOptions({ ...parts, role: 'tool' });
  const onStep = (step: string): Promise<void> =>
    step === at ? Promise.reject(new Error('stopped here')) : Promise.resolve();
  return restoreNotedArchive(archive, { ...options, onStep, allowUnprotected: false });
}

const NOTED = {
  reason: 'startFailed',
  details: {
    cause: expect.stringMatching(/archived database was begun.*is in .*archived-database_/),
    advice: expect.stringContaining('vault-server restore-archive /'),
  },
};

describe('stopped in the middle', () => {
  it.each(['restore-proven', 'archive-written'])('at %s: nothing was changed', async (at) => {
    await expect(restore(at)).rejects.toThrow('stopped here');
    expect(await (await open()).collection('server').count()).toBe(1);
  });

  it.each([
    'archive-announced',
    'archive-seal-removed',
    'archive-fences-removed',
    'archive-removed',
    'restore-batch',
    'restore-records',
    'restore-fences',
    'restore-seal',
    'restore-witnessed',
  ])('at %s: degraded, and the same command ends it', async (at) => {
    await expect(restore(at)).rejects.toThrow('stopped here');
    await expect(open()).rejects.toMatchObject(NOTED);
    const { archives } = await restore();
    expect(archives.every((path) => existsSync(path))).toBe(true);
    expect(archives.length).toBeGreaterThan(0);
    expect(readdirSync(folder.path)).not.toContain(RECOVERY_MARKER_FILE);
    const database = await open();
    expect(await database.verify()).toMatchObject({ isSound: true, records: SERVERS });
  });

  it('and the note is damaged: degraded all the same', async () => {
    await expect(restore('restore-records')).rejects.toThrow('stopped here');
    for (const damaged of ['', 'null', '{"kind":"else"}', '{"archives":1}']) {
      writeFileSync(folder.join(RECOVERY_MARKER_FILE), damaged);
      // oxlint-disable-next-line no-await-in-loop -- one database
      await expect(open()).rejects.toMatchObject({ reason: 'startFailed' });
    }
  });
});

describe('a lost half that is put back without its label', () => {
  const SEAL = 'vault:{meta}:seal';
  /** The key is lost, its database is put aside, another begins; then the half comes back as the bare secret. */
  async function findBareHalf(change: (json: object) => object): Promise<void> {
    const client = redis.client();
    const [json = '', mac = ''] = ((await client.get(SEAL)) ?? '').split('\n');
    const changed = JSON.stringify(change(JSON.parse(json) as object));
    await client.set(SEAL, `${changed}\n${mac}`);
    client.disconnect();
    const path = folder.join('half-a');
    renameSync(path, folder.join('lost'));
    const { path: put = '' } = await archiveDatabase(await openOptions({ ...parts, role: 'tool' }));
    archive = put;
    await fill(1);
    const [, bare = ''] = readFileSync(folder.join('lost'), 'utf8').trim().split(':');
    writeFileSync(path, `${bare}\n${readFileSync(path, 'utf8')}`);
  }
  const inspect = async (): Promise<unknown> =>
    inspectArchive(archive, await openOptions({ ...parts, role: 'tool' }));

  it('proves the seal of the archive all the same', async () => {
    await findBareHalf((json) => json);
    expect(await inspect()).toMatchObject({ seal: 'authentic' });
    await restore();
    expect(await (await open()).verify()).toMatchObject({ isSound: true });
  });

  it('and shows a seal that was changed for what it is', async () => {
    await findBareHalf((json) => ({ ...json, origin: 'switched-on' }));
    expect(await inspect()).toMatchObject({ seal: 'forged' });
    await expect(restore()).rejects.toThrow(/no holder of the key that the archive names/);
  });
});
