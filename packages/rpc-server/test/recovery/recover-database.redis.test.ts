/** Recovery on a real Redis, stopped at each of its steps. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { plaintextRecordsIn } from '@vault/redis-store';
import type { CredentialDatabase } from '@vault/redis-store';
import { RedisServer } from '../../../../test/harness/redis.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { backupDatabaseOf } from '../../src/backup/database-adapter.js';
import { DatabaseConfigBackup } from '../../src/backup/config-backup.js';
import type { ImportParams } from '../../src/backup/port.js';
import { loadConfig } from '../../src/config/load-config.js';
import { openDatabase } from '../../src/open-database.js';
import { previewRecovery, recoverDatabase } from '../../src/recovery/recover-database.js';
import type { Recovered, RecoveryParts } from '../../src/recovery/recover-database.js';
import { RECOVERY_MARKER_FILE } from '../../src/recovery/recovery-marker.js';
import { RecordingLogger } from '../api-fixture.js';

const PASSPHRASE = 'correct horse battery';
const ADA = { email: 'ada', permission: 'admin', pwHash: '$argon2id$x' };
const EVE = { email: 'eve', permission: 'admin', pwHash: '$argon2id$e' };
const SECRET = 'MARKER-SECRET';

const OPEN = { allowUnprotected: true };
/** Two records, one of which no import takes; an administrator of somebody's choice is the other. */
const PLAIN = Buffer.from(
  '{"format":"vault-config-backup","version":1,"entries":{"server":[{"id":"x","hots":1}],"user":[{"id":"eve","email":"eve","permission":"admin","pwHash":"$argon2id$e"}]}}',
);

const resources = new Resources();
let folder: TemporaryFolder;
let redis: RedisServer;
let parts: RecoveryParts;
let backup: Buffer;
beforeEach(async () => {
  folder = resources.use(new TemporaryFolder('vault-recover'));
  redis = resources.use(await RedisServer.start({ appendonly: true }));
  configure(true);
  backup = await fillAndExport();
  rmSync(halfA());
});
afterEach(() => resources.stop());

const halfA = (): string => folder.join('half-a');
const halfB = (): string => join(folder.path, 'vault-encryption-key');
const lines = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');
const files = (): string[] => readdirSync(folder.path);

function configure(encrypt: boolean | undefined): void {
  writeFileSync(
    folder.join('config.toml'),
    `datadir = "${folder.path}"
[redis]
socket = "${redis.socketPath ?? ''}"
${encrypt === undefined ? '' : `encryptCredentialDatabase = ${encrypt}`}
[keystore]
halfA = { source = "file", path = "${halfA()}" }
halfB = { source = "file", path = "${halfB()}" }
`,
  );
  const config = loadConfig({
    environment: {},
    configFile: folder.join('config.toml'),
    workingFolder: folder.path,
  });
  parts = {
    config,
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

/** A database of two records, and its backup; then it is closed. */
async function fillAndExport(): Promise<Buffer> {
  const database = await open();
  await database
    .collection('server')
    .add({ host: 'xcp1', username: 'root', password: SECRET }, { id: 'one' });
  await database.collection('user').add(ADA, { id: 'ada' });
  const exported = new DatabaseConfigBackup({
    database: backupDatabaseOf(database),
    logger: parts.logger,
  }).export({ passphrase: PASSPHRASE });
  const bytes = await buffer(await exported.open());
  await database.close();
  return bytes;
}

async function recover(
  changes: Partial<RecoveryParts> = {},
  bytes = backup,
  params: ImportParams = { passphrase: PASSPHRASE },
): Promise<Recovered> {
  const recovered = await recoverDatabase({ ...parts, ...changes }, Readable.from([bytes]), params);
  resources.defer(() => recovered.database.close());
  return recovered;
}

/** Writes a user as somebody does who can write to Redis, and has no key. */
async function plant(id: string, record: object): Promise<void> {
  const client = redis.client();
  await client.set(`vault:{user}:r:${id}`, JSON.stringify(record));
  await client.zadd('vault:{user}:ids', 0, id);
  client.disconnect();
}

async function storedAs(id: string): Promise<string> {
  const client = redis.client();
  const stored = await client.get(`vault:{user}:r:${id}`);
  client.disconnect();
  return stored ?? '';
}

async function everyKey(): Promise<string[]> {
  const client = redis.client();
  const keys = await client.keys('*');
  client.disconnect();
  return keys.filter((key) => !/\{meta\}:(?:lock|process)/.test(key)).toSorted();
}

async function expectRecovered({ database }: Recovered): Promise<void> {
  expect(await database.verify()).toMatchObject({ isSound: true, records: 2 });
  expect(await database.collection('server').find({ host: 'xcp1' })).toMatchObject([
    { id: 'one', record: { password: SECRET } },
  ]);
  expect(database.isBootstrapped).toBe(true);
  expect(files()).not.toContain(RECOVERY_MARKER_FILE);
  expect(files()).not.toContainEqual(expect.stringMatching(/\.(?:tmp-.*|spool)$/));
}

describe('recovering a database', () => {
  it('fills a new one under a new key, and keeps the old one and every half', async () => {
    const before = lines(halfB());
    writeFileSync(folder.join('encryption-backup.json'), 'left by a migration');
    const recovered = await recover();
    await expectRecovered(recovered);
    expect(recovered.imported.records).toBe(2);
    expect(recovered.archives).toEqual([expect.stringContaining('archived-database_')]);
    expect(lines(halfB()).slice(0, -1)).toEqual(before);
    expect(lines(halfA())).toHaveLength(1);
    expect((parts.logger as RecordingLogger).lines).toContainEqual(
      expect.objectContaining({ level: 'warn', data: { files: ['encryption-backup.json'] } }),
    );
    expect(readFileSync(recovered.archives[0] ?? '', 'utf8')).not.toContain(SECRET);
  });

  it('leaves a plaintext database where the setting says so', async () => {
    configure(false);
    const { database } = await recover();
    expect(database.state).toBe('plaintext');
    expect(files()).not.toContain('half-a');
  });

  it('changes nothing where the setting is absent: that would be a plaintext one', async () => {
    configure(undefined);
    const before = [await everyKey(), files()];
    const refused = {
      code: 'OPERATION_REFUSED',
      message: expect.stringMatching(/encryptCredentialDatabase is absent.*nothing was changed/),
    };
    await expect(recover()).rejects.toMatchObject(refused);
    await expect(previewRecovery(parts, Readable.from([PLAIN]), OPEN)).rejects.toMatchObject(
      refused,
    );
    expect([await everyKey(), files()]).toEqual(before);
    configure(true);
    await expectRecovered(await recover());
  });

  it.each<[string, () => [Buffer, ImportParams]]>([
    ['another passphrase', () => [backup, { passphrase: 'wrong horse battery' }]],
    ['a cut file', () => [backup.subarray(0, -30), { passphrase: PASSPHRASE }]],
    ['a file of something else', () => [Buffer.from('{"format":"other"}'), OPEN]],
    ['a plain file in the place of the encrypted one', () => [PLAIN, { passphrase: PASSPHRASE }]],
    ['no word on protection', () => [PLAIN, {}]],
    ['a record that does not fit its collection', () => [PLAIN, OPEN]],
  ])('changes nothing with %s', async (_, given) => {
    const before = [await everyKey(), files()];
    await expect(recover({}, ...given())).rejects.toMatchObject({
      code: expect.stringMatching(/^BACKUP_/),
    });
    expect([await everyKey(), files()]).toEqual(before);
  });

  it('tells what it would do, and changes nothing', async () => {
    const before = [await everyKey(), files()];
    const preview = await previewRecovery(parts, Readable.from([PLAIN]), OPEN);
    expect(preview).toMatchObject({ dryRun: true, records: 1, collections: { user: 1 } });
    expect(preview.refused.records).toEqual([
      {
        collection: 'server',
        id: 'x',
        reason: 'field "hots" is not in the definition of the collection',
      },
    ]);
    expect(preview.refusal).toContain('server x (field "hots"');
    expect([await everyKey(), files()]).toEqual(before);
  });

  it('leaves out what cannot be imported, where it is told to', async () => {
    const { imported, database } = await recover({}, PLAIN, { ...OPEN, skipInvalid: true });
    expect(imported).toMatchObject({ records: 1, refused: { count: 1 } });
    expect(database.isBootstrapped).toBe(true);
  });

  it('of a backup without an administrator who can sign in leaves that to the server', async () => {
    const plain = PLAIN.toString().replace('"$argon2id$e"', 'null');
    const { database } = await recover({}, Buffer.from(plain), { ...OPEN, skipInvalid: true });
    expect(database.isBootstrapped).toBe(false);
  });

  it('changes nothing where no new key can be written', async () => {
    const config = parts.config;
    const settings = {
      ...config.settings,
      'keystore.halfA': { source: 'env' },
    };
    const before = [await everyKey(), files()];
    await expect(recover({ config: { ...config, settings } })).rejects.toMatchObject({
      code: 'FORBIDDEN_OPERATION',
    });
    expect([await everyKey(), files()]).toEqual(before);
  });

  it.each(['archive-removed', 'recovery-key-noted', 'begin', 'state-set', 'backup-sealed'])(
    'makes no administrator of a record that is planted at %s',
    async (at) => {
      const onStep = async (step: string): Promise<void> => {
        if (step === at) await plant('eve', EVE);
      };
      await expect(recover({ onStep })).rejects.toMatchObject({ code: expect.any(String) });
      await expect(open()).rejects.toMatchObject({ reason: 'startFailed' });
      expect(await storedAs('eve')).toContain('$argon2id$e');

      const recovered = await recover();
      await expectRecovered(recovered);
      expect(await recovered.database.collection('user').get('eve')).toBeUndefined();
      const [, second = ''] = recovered.archives;
      expect(await plaintextRecordsIn(second)).toBe(1);
    },
  );

  it('says what stands in the emptied place, and what to do', async () => {
    const onStep = async (step: string): Promise<void> => {
      if (step === 'recovery-key-noted') await plant('eve', EVE);
    };
    await expect(recover({ onStep })).rejects.toMatchObject({
      code: 'OPERATION_REFUSED',
      message: expect.stringMatching(
        /emptied for a new database.*vault:\{user\}:.*shut them out; then do it again/,
      ),
    });
  });

  it('in plaintext, too, takes nothing over that stands there when it begins', async () => {
    configure(false);
    const onStep = async (step: string): Promise<void> => {
      if (step === 'archive-removed') await plant('eve', EVE);
    };
    await expect(recover({ onStep })).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
    const { database } = await recover();
    expect(await database.collection('user').count()).toBe(1);
  });

  it.each([
    'archive-announced',
    'archive-fences-removed',
    'archive-removed',
    'recovery-key-appended',
    'recovery-key-noted',
    'import-written',
    'recovery-imported',
  ])('stopped at %s: degraded until the next recovery, which goes on', async (at) => {
    const onStep = (step: string): Promise<void> =>
      step === at ? Promise.reject(new Error('stopped here')) : Promise.resolve();
    await expect(recover({ onStep })).rejects.toBeInstanceOf(Error);

    await expect(open()).rejects.toMatchObject({
      reason: 'startFailed',
      details: { cause: expect.stringContaining('recovery was begun') },
    });
    const keysBefore = files().includes('half-a') ? lines(halfA()).length : 0;
    const recovered = await recover();
    await expectRecovered(recovered);
    expect(recovered.archives[0]).toContain('archived-database_');
    // A key whose halves were written is used, not left lying about.
    const isThere = at.startsWith('recovery-key') || at.startsWith('import');
    expect(lines(halfA()).length).toBeLessThanOrEqual(keysBefore + (isThere ? 0 : 1));
    await recovered.database.close();
    expect(await (await open()).collection('server').count()).toBe(1);
  });
});
