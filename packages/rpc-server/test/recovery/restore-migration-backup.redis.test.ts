/** Backups of migrations, put back on a real Redis: of either form, whole and half done, stopped at each step. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { acceptDatabase, CredentialDatabase } from '@vault/redis-store';
import type { OpenOptions } from '@vault/redis-store';
import { RedisServer } from '../../../../test/harness/redis.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { openContainer } from '../../src/backup/container.js';
import { loadConfig } from '../../src/config/load-config.js';
import { openDatabase, openOptions } from '../../src/open-database.js';
import type { DatabaseParts } from '../../src/open-database.js';
import { RECOVERY_MARKER_FILE } from '../../src/recovery/recovery-marker.js';
import {
  planRestore,
  restoreMigrationBackup,
} from '../../src/recovery/restore-migration-backup.js';
import type { Restored, RestorePlan } from '../../src/recovery/restore-migration-backup.js';
import { RecordingLogger } from '../api-fixture.js';

const SECRET = 'MARKER-SECRET';
const PASSPHRASE = 'correct horse battery';
const SERVERS = 5;
const ADA = { email: 'ada', permission: 'admin', pwHash: '$argon2id$x' };

const resources = new Resources();
let folder: TemporaryFolder;
let redis: RedisServer;
let logger: RecordingLogger;
beforeEach(async () => {
  folder = resources.use(new TemporaryFolder('vault-restore'));
  redis = resources.use(await RedisServer.start({ appendonly: true }));
  logger = new RecordingLogger();
});
afterEach(() => resources.stop());

const backupPath = (): string => folder.join('encryption-backup.json');
const halves = (): string[] => [folder.join('half-a'), folder.join('vault-encryption-key')];
const files = (): string[] => readdirSync(folder.path);

function parts(encrypt: boolean | undefined, more = ''): Omit<DatabaseParts, 'role'> {
  writeFileSync(
    folder.join('config.toml'),
    `datadir = "${folder.path}"
[redis]
socket = "${redis.socketPath ?? ''}"
${encrypt === undefined ? '' : `encryptCredentialDatabase = ${encrypt}`}
[keystore]
halfA = { source = "file", path = "${folder.join('half-a')}" }
halfB = { source = "file", path = "${folder.join('vault-encryption-key')}" }
${more}
`,
  );
  return {
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
    logger,
  };
}

async function options(encrypt: boolean | undefined, more?: string): Promise<OpenOptions> {
  return openOptions({ ...parts(encrypt, more), role: 'server' });
}

async function open(encrypt: boolean | undefined): Promise<CredentialDatabase> {
  const database = await openDatabase({ ...parts(encrypt), role: 'server' });
  resources.defer(() => database.close());
  return database;
}

/** A database in the form that the setting asks for, closed. */
async function fill(encrypt: boolean): Promise<void> {
  const database = await open(encrypt);
  for (let n = 0; n < SERVERS; n++) {
    const fields = { host: `xcp${n}`, username: `root${n % 2}`, password: `${SECRET}-${n}` };
    await database.collection('server').add(fields, { id: `id-${n}` });
  }
  await database.collection('user').add(ADA, { id: 'ada' });
  await database.markBootstrapped();
  await database.close();
}

const stopAt =
  (at: string) =>
  (step: string): Promise<void> =>
    step === at ? Promise.reject(new Error('stopped here')) : Promise.resolve();

/** Leaves a migration in its middle. */
async function failMigration(encrypt: boolean, at: string, more?: string): Promise<void> {
  const opening = CredentialDatabase.open({
    ...(await options(encrypt, more)),
    onStep: stopAt(at),
  });
  await expect(opening).rejects.toMatchObject({ reason: 'migrationFailed' });
}

interface Given {
  readonly path?: string;
  readonly skipInvalid?: boolean;
  readonly mayBePlaintext?: boolean;
  readonly onStep?: (step: string) => Promise<void>;
}

async function restorePartsOf(encrypt: boolean | undefined, given: Given) {
  const { path = backupPath(), skipInvalid = false, mayBePlaintext = true, onStep } = given;
  const bytes = readFileSync(path);
  return {
    options: { ...(await options(encrypt)), ...(onStep !== undefined && { onStep }) },
    open: () => openContainer(asPieces(bytes), { any: PASSPHRASE }),
    skipInvalid,
    mayBePlaintext,
  };
}

/** Cut anywhere, as a file may come. */
async function* asPieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 97) yield bytes.subarray(at, at + 97);
}

async function plan(encrypt: boolean | undefined, given: Given = {}): Promise<RestorePlan> {
  return planRestore(await restorePartsOf(encrypt, given));
}

async function restore(encrypt: boolean | undefined, given: Given = {}): Promise<Restored> {
  const restoring = await restorePartsOf(encrypt, given);
  return restoreMigrationBackup(restoring, await planRestore(restoring));
}

/** All is there, found by its indexes, sound; a second start serves it too. */
async function expectServed(encrypt: boolean, servers = SERVERS, isNew = false): Promise<void> {
  const database = await open(encrypt);
  expect(database.state).toBe(encrypt ? 'encrypted' : 'plaintext');
  expect(await database.verify()).toMatchObject({ isSound: true, records: servers + 1 });
  for (let n = 0; n < servers; n++) {
    expect(await database.collection('server').find({ host: `xcp${n}` })).toMatchObject([
      { id: `id-${n}`, record: { password: `${SECRET}-${n}` } },
    ]);
  }
  // Where there was a seal or an administrator, no first one is made.
  expect(database.isBootstrapped).toBe(!isNew);
  expect(files()).not.toContain(RECOVERY_MARKER_FILE);
  expect(files()).not.toContainEqual(expect.stringMatching(/\.(?:tmp-.*|spool)$/));
  await database.close();
}

async function everyKey(): Promise<string[]> {
  const client = redis.client();
  const keys = await client.keys('*');
  client.disconnect();
  return keys.filter((key) => !/\{meta\}:(?:lock|process)/.test(key)).toSorted();
}

async function flush(): Promise<void> {
  const client = redis.client();
  await client.flushall();
  client.disconnect();
}

async function isInRedis(text: string): Promise<boolean> {
  const client = redis.client();
  const keys = (await everyKey()).filter((key) => key.includes(':r:'));
  const values = await Promise.all(keys.map((key) => client.getBuffer(key)));
  client.disconnect();
  return values.some((value) => value?.includes(text));
}

function removeHalves(): void {
  for (const half of halves()) rmSync(half, { force: true });
}

interface BackupLine {
  readonly collection?: string;
  readonly id: string;
  record?: object;
  stored?: string;
}

/** The backup with its records changed. */
function change(edit: (records: BackupLine[]) => void): void {
  const document = JSON.parse(readFileSync(backupPath(), 'utf8')) as {
    records: BackupLine[];
  };
  edit(document.records);
  const { records, ...head } = document;
  const lines = records.map((record) => JSON.stringify(record)).join(',\n');
  chmodSync(backupPath(), 0o600);
  writeFileSync(backupPath(), `${JSON.stringify(head).slice(0, -1)},"records":[\n${lines}\n]}\n`);
}

describe('the backup of a failed encryption', () => {
  it.each(['backup-sealed', 'encrypt-batch', 'encrypt-verified', 'scrubbed-redis'])(
    'stopped at %s, both halves removed, the line off: a clean plaintext database',
    async (at) => {
      await fill(false);
      await failMigration(true, at);
      removeHalves();
      await expect(open(false)).rejects.toMatchObject({ reason: 'keysMissing' });
      const { imported, archives, state } = await restore(false);
      expect([imported.records, state]).toEqual([SERVERS + 1, 'plaintext']);
      expect(archives).toHaveLength(1);
      expect(statSync(archives[0] ?? '').mode & 0o777).toBe(0o400);
      await expectServed(false);
      expect(halves().filter((half) => existsSync(half))).toEqual([]);
    },
  );

  it('that was not made yet is not needed: the operator accepts what is there', async () => {
    await fill(false);
    await failMigration(true, 'state-set');
    removeHalves();
    expect(existsSync(backupPath())).toBe(false);
    await expect(open(false)).rejects.toMatchObject({ reason: 'keysMissing' });
    const { redis: link, collections, custody, dataDir } = await options(false);
    const accepted = await acceptDatabase({
      redis: link,
      collections,
      custody,
      dataDir,
      allowUnprotected: true,
    });
    expect(accepted).toMatchObject({ basis: 'nothing' });
    await expectServed(false, SERVERS, true);
  });

  it('comes back in plaintext where the line was removed, as well', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-batch');
    removeHalves();
    expect((await restore(undefined)).state).toBe('plaintext');
    await expectServed(false);
  });

  it('is refused while the keys are there: going back is an operation then', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-transformed');
    const before = [await everyKey(), files()];
    for (const encrypt of [false, true]) {
      await expect(plan(encrypt)).rejects.toMatchObject({
        code: 'OPERATION_REFUSED',
        message: expect.stringMatching(
          /its key [0-9a-f]{16} is there.*set encryptCredentialDatabase/,
        ),
      });
    }
    expect([await everyKey(), files()]).toEqual(before);
    await expectServed(false);
  });

  it('is refused as well where a half was put back without its key id', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-transformed');
    const [halfA = ''] = halves();
    const [, bare = ''] = readFileSync(halfA, 'utf8').split(':');
    chmodSync(halfA, 0o600);
    writeFileSync(halfA, bare);
    await expect(plan(true)).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
    await expectServed(true);
  });

  it('with the line on: encrypted under a new pair, and the files with plaintext are named at each start', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-transformed');
    removeHalves();
    const { state, archives } = await restore(true);
    expect(state).toBe('encrypted');
    expect(await isInRedis(SECRET)).toBe(false);
    await expectServed(true);
    expect(logger.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', data: { files: [backupPath()] } }),
    );
    expect(readFileSync(archives[0] ?? '', 'utf8')).not.toContain(SECRET);
  });

  it('says how many records of the archive are plaintext', async () => {
    await fill(false);
    await failMigration(true, 'backup-sealed');
    removeHalves();
    const { archives } = await restore(true);
    await expectServed(true);
    expect(logger.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', data: { files: [backupPath(), ...archives] } }),
    );
  });

  it('counts what stands in Redis and is not in it, and what differs', async () => {
    await fill(false);
    await failMigration(true, 'backup-sealed');
    const client = redis.client();
    await client.set('vault:{server}:r:id-new', '{"host":"new","username":"root","password":"x"}');
    await client.set('vault:{server}:r:id-0', '{"host":"other","username":"root","password":"x"}');
    client.disconnect();
    removeHalves();
    const { comparison } = await plan(false);
    expect(comparison).toMatchObject({ of: 'plaintext', records: SERVERS + 1, unrestorable: 0 });
    expect(comparison.collections).toEqual({
      server: { inBackup: 5, inRedis: 6, onlyInRedis: 1, different: 1, notComparable: 0 },
      user: { inBackup: 1, inRedis: 1, onlyInRedis: 0, different: 0, notComparable: 0 },
    });
  });

  it('cannot compare what is encrypted under a lost key, and says so', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-verified');
    removeHalves();
    const { comparison } = await plan(false);
    expect(comparison.collections['server']).toMatchObject({
      notComparable: SERVERS,
      different: 0,
    });
  });

  it('protected with a passphrase, is put back', async () => {
    await fill(false);
    writeFileSync(folder.join('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
    const more = `[backup]\npassphraseFile = "${folder.join('passphrase')}"`;
    await failMigration(true, 'encrypt-transformed', more);
    removeHalves();
    await restore(false, { path: `${backupPath()}.pgp` });
    await expectServed(false);
  });

  it('that nothing protects plants nobody where there is a passphrase for backups', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-transformed');
    removeHalves();
    const before = [await everyKey(), files()];
    await expect(restore(false, { mayBePlaintext: false })).rejects.toThrow(
      /server id-0 cannot be put back: it is plaintext in a file that nothing protects.*and 5 more/,
    );
    expect([await everyKey(), files()]).toEqual(before);
    await restore(false);
    await expectServed(false);
  });

  it('names a record that does not fit, and leaves it out on request', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-transformed');
    removeHalves();
    change((records) => {
      for (const entry of records) if (entry.id === 'id-4') entry.record = { hots: 'x' };
    });
    const before = [await everyKey(), files()];
    await expect(plan(false)).rejects.toThrow(
      /server id-4 cannot be put back: server, field "hots": is not in the definition/,
    );
    expect([await everyKey(), files()]).toEqual(before);
    const { leftOut } = await restore(false, { skipInvalid: true });
    expect(leftOut).toMatchObject([{ collection: 'server', id: 'id-4' }]);
    await expectServed(false, SERVERS - 1);
  });

  it.each<[string, (text: string) => string, RegExp]>([
    ['cut', (text) => text.slice(0, -4), /cut/],
    ['cut in a line', (text) => text.slice(0, -40), /no record/],
    [
      'a config backup',
      () => '{"format":"vault-config-backup","version":1,"entries":{}}',
      /no backup of a migration|another kind/,
    ],
    [
      'an archive',
      () => '{"format":"vault-database-archive","version":1}\n',
      /no backup of a migration|another kind/,
    ],
    ['of another version', (text) => text.replace('"version":1', '"version":2'), /version/],
    ['followed by more', (text) => `${text}{"collection":"server"}\n`, /behind the end/],
    [
      'of a collection that is not there',
      (text) => text.replace('"collection":"server"', '"collection":"__proto__"'),
      /no such collection/,
    ],
  ])('that is %s is refused, and nothing is changed', async (_, edit, message) => {
    await fill(false);
    await failMigration(true, 'encrypt-transformed');
    removeHalves();
    const other = folder.join('other.json');
    writeFileSync(other, edit(readFileSync(backupPath(), 'utf8')));
    const before = [await everyKey(), files()];
    await expect(restore(false, { path: other })).rejects.toThrow(message);
    expect([await everyKey(), files()]).toEqual(before);
  });
});

describe('the backup of a failed decryption', () => {
  it.each([true, false])('comes back where Redis was emptied, the line %s', async (encrypt) => {
    await fill(true);
    await failMigration(false, 'decrypt-batch');
    const keys = halves().map((half) => readFileSync(half, 'utf8'));
    await flush();
    await expect(open(false)).rejects.toMatchObject({ reason: 'foreignDatabase' });
    const { state } = await restore(encrypt);
    expect(state).toBe(encrypt ? 'encrypted' : 'plaintext');
    expect(await isInRedis(SECRET)).toBe(!encrypt);
    await expectServed(encrypt);
    expect(halves().map((half) => readFileSync(half, 'utf8'))).toEqual(keys);
  });

  it('takes no plaintext record, which somebody put there', async () => {
    await fill(true);
    await failMigration(false, 'decrypt-batch');
    change((records) => {
      const mallory = { ...ADA, email: 'mallory' };
      records.push({ collection: 'user', id: 'mallory', record: mallory });
    });
    await flush();
    await expect(restore(true)).rejects.toThrow(
      /user mallory cannot be put back: it is plaintext in the backup of an encrypted database/,
    );
    expect(await everyKey()).toEqual([]);
    const { leftOut } = await restore(true, { skipInvalid: true, mayBePlaintext: false });
    expect(leftOut).toMatchObject([{ collection: 'user', id: 'mallory' }]);
    await expectServed(true);
  });

  it('makes no plaintext database because the line is absent', async () => {
    await fill(true);
    await failMigration(false, 'decrypt-batch');
    await flush();
    await expect(restore(undefined)).rejects.toThrow('encryptCredentialDatabase is absent');
    expect(await everyKey()).toEqual([]);
  });

  it('without its keys is refused by the id of the key', async () => {
    await fill(true);
    await failMigration(false, 'decrypt-batch');
    const [line = ''] = readFileSync(halves()[0] ?? '', 'utf8').split(':');
    removeHalves();
    await flush();
    const before = files();
    await expect(restore(false)).rejects.toThrow(
      `it is under the key ${line}, which was not found`,
    );
    expect(files()).toEqual(before);
  });

  it('of a half-done migration holds both forms, and both come back', async () => {
    await fill(true);
    await failMigration(false, 'decrypt-batch');
    // The manifest is lost: the operator accepts, and a new backup of what is there is made.
    rmSync(`${backupPath()}.manifest`);
    copyFileSync(backupPath(), folder.join('first.json'));
    const { redis: link, collections, custody, dataDir } = await options(false);
    await acceptDatabase({ redis: link, collections, custody, dataDir, allowUnprotected: true });
    rmSync(backupPath());
    await failMigration(false, 'backup-sealed');
    expect(readFileSync(backupPath(), 'utf8')).toContain('"of":"either"');
    await flush();
    await restore(false);
    await expectServed(false);
  });
});

describe('somebody who writes to Redis while it is put back', () => {
  const EVE = JSON.stringify({ email: 'eve', permission: 'admin', pwHash: '$argon2id$e' });

  it.each([
    ['archive-removed', true],
    ['restore-emptied', true],
    ['state-set', true],
    ['backup-sealed', true],
    ['restore-emptied', false],
  ])('at %s (encrypted: %s) plants nobody', async (at, encrypt) => {
    await fill(false);
    await failMigration(true, 'encrypt-batch');
    removeHalves();
    const onStep = async (step: string): Promise<void> => {
      if (step !== at) return;
      const client = redis.client();
      await client.set('vault:{user}:r:eve', EVE);
      await client.zadd('vault:{user}:ids', 0, 'eve');
      client.disconnect();
    };
    await expect(restore(encrypt, { onStep })).rejects.toMatchObject({ code: expect.any(String) });
    await expect(open(encrypt)).rejects.toMatchObject({ reason: 'startFailed' });
    expect(await isInRedis('$argon2id$e')).toBe(true);
    await restore(encrypt);
    await expectServed(encrypt);
  });

  it('and takes the seal of the new database away: the next run begins anew', async () => {
    await fill(false);
    await failMigration(true, 'encrypt-batch');
    removeHalves();
    await expect(restore(true, { onStep: stopAt('restore-verified') })).rejects.toThrow('stopped');
    const client = redis.client();
    await client.del('vault:{meta}:seal', 'vault:{user}:meta');
    client.disconnect();
    await restore(true);
    await expectServed(true);
  });
});

describe('stopped in the middle', () => {
  const NAMES_COMMAND = { advice: expect.stringContaining('restore-migration-backup') };
  const UNDER_WAY = { reason: 'startFailed', details: NAMES_COMMAND };

  it.each([
    ['archive-written', { reason: 'keysMissing' }],
    ['archive-announced', UNDER_WAY],
    ['archive-fences-removed', UNDER_WAY],
    ['archive-removed', UNDER_WAY],
    ['restore-emptied', UNDER_WAY],
    ['restore-noted', UNDER_WAY],
    ['import-written', UNDER_WAY],
    ['import-sealed', UNDER_WAY],
    ['restore-verified', UNDER_WAY],
  ])('at %s: degraded, and the same command ends it', async (at, degraded) => {
    await fill(false);
    await failMigration(true, 'encrypt-batch');
    removeHalves();
    await expect(restore(false, { onStep: stopAt(at) })).rejects.toThrow('stopped here');
    await expect(open(false)).rejects.toMatchObject(degraded);
    const { archives } = await restore(false);
    expect(archives.length).toBeGreaterThan(0);
    await expectServed(false);
  });
});
