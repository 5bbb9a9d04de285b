/** The config backup between real databases, each with its own keys. */
import { readdirSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { CredentialDatabase, staticCustody } from '@vault/redis-store';
import type { CollectionDefinitions } from '@vault/redis-store';
import { RedisServer } from '../../../../test/harness/redis.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { DatabaseConfigBackup, importText } from '../../src/backup/config-backup.js';
import { backupDatabaseOf } from '../../src/backup/database-adapter.js';
import type { ExportParams, ImportResult } from '../../src/backup/port.js';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';

const PASSPHRASE = 'correct horse battery';
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const resources = new Resources();
afterEach(() => resources.stop());

/** An instance of its own: Redis, data folder, keys. */
class Instance {
  readonly #redis: RedisServer;
  readonly #folder: TemporaryFolder;
  readonly database: CredentialDatabase;
  readonly backup: DatabaseConfigBackup;

  private constructor(redis: RedisServer, folder: TemporaryFolder, database: CredentialDatabase) {
    this.#redis = redis;
    this.#folder = folder;
    this.database = database;
    this.backup = new DatabaseConfigBackup({
      database: backupDatabaseOf(database),
      logger: SILENT,
    });
  }

  static async start({ encrypt = true } = {}): Promise<Instance> {
    const redis = resources.use(await RedisServer.start({ appendonly: true }));
    const folder = resources.use(new TemporaryFolder('vault-instance'));
    const collections: CollectionDefinitions = BUILTIN_COLLECTIONS;
    const database = await CredentialDatabase.open({
      redis: { socketPath: redis.socketPath ?? '' },
      collections,
      custody: staticCustody(),
      dataDir: folder.path,
      encrypt,
    });
    resources.defer(() => database.close());
    return new Instance(redis, folder, database);
  }

  async export(params: ExportParams): Promise<Buffer> {
    return buffer(await this.backup.export(params).open());
  }

  import(file: Buffer, passphrase?: string): Promise<ImportResult> {
    return this.backup.import(
      Readable.from([file]),
      passphrase === undefined ? { allowUnprotected: true } : { passphrase },
    );
  }

  /** Records, id lists and index entries, as Redis holds them; fences follow the epoch, which an import raises. */
  async stored(): Promise<Record<string, string>> {
    const client = this.#redis.client();
    const all = (await client.keys('*')).toSorted();
    const keys = all.filter((key) => !key.includes('{meta}') && !key.endsWith('}:meta'));
    const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
    return Object.fromEntries(keys.map((key, i) => [key, dumps[i]?.toString('base64') ?? '']));
  }

  spools(): string[] {
    return readdirSync(this.#folder.path).filter((name) => name.endsWith('.spool'));
  }
}

async function fill({ database }: Instance): Promise<void> {
  for (let i = 0; i < 30; i++) {
    // oxlint-disable-next-line no-await-in-loop -- a few records, in order
    await database.collection('server').add({
      host: `h${i}.example.org`,
      username: 'root',
      password: `hunter2secret${i}`,
    });
  }
  await database
    .collection('user')
    .add({ email: 'a@example.org', permission: 'admin', pwHash: '$argon2id$x' });
  await database
    .collection('token')
    .add({ userId: 'u', hash: 'x', createdAtMs: 1, expiresAtMs: 2 });
}

describe('a config backup of a real database', () => {
  it('names the records that give way to an imported one with the same unique value', async () => {
    const [source, target] = [await Instance.start(), await Instance.start()];
    await fill(source);
    const file = await source.export({ passphrase: PASSPHRASE });
    const own = { host: 'h7.example.org', username: 'root', password: 'newer' };
    const id = await target.database.collection('server').add(own);
    const imported = await target.import(file, PASSPHRASE);
    expect(imported.replaced).toEqual([{ collection: 'server', id }]);
    expect(importText(imported)).toContain(`the same unique value: server ${id}\n`);
  });

  it.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('goes from encrypted %s to encrypted %s, found by its indexes there', async (from, to) => {
    const [source, target] = [
      await Instance.start({ encrypt: from }),
      await Instance.start({ encrypt: to }),
    ];
    await fill(source);
    const file = await source.export(from ? { passphrase: PASSPHRASE, compress: true } : {});
    expect(file.includes('hunter2secret')).toBe(!from);

    const passphrase = from ? PASSPHRASE : undefined;
    const { records, collections } = await target.import(file, passphrase);
    expect({ records, collections }).toEqual({ records: 31, collections: { server: 30, user: 1 } });
    const [found] = await target.database.collection('server').find({ host: 'H7.example.org' });
    expect(found?.record).toMatchObject({ password: 'hunter2secret7' });
    expect(await target.database.collection('user').find({ email: 'a@example.org' })).toHaveLength(
      1,
    );
    expect(await target.database.collection('token').count()).toBe(0);
    expect(await target.database.verify()).toMatchObject({ isSound: true, records: 31 });
    expect(JSON.stringify(await target.stored()).includes('hunter2')).toBe(false);
    expect(target.spools()).toEqual([]);
  });

  it('imported twice changes nothing, not even a byte of a record or an index', async () => {
    const [source, target] = [await Instance.start(), await Instance.start()];
    await fill(source);
    const file = await source.export({ passphrase: PASSPHRASE });
    await target.import(file, PASSPHRASE);
    const before = await target.stored();
    await target.import(file, PASSPHRASE);
    expect(await target.stored()).toEqual(before);
  });

  it.each<[string, (file: Buffer) => Buffer]>([
    ['cut', (file) => file.subarray(0, -20)],
    ['altered', (file) => Buffer.from(file).fill(0x41, file.length - 60, file.length - 50)],
    ['of another program', () => Buffer.from('\x85 hello world')],
  ])('that is %s changes nothing, and leaves no spool', async (_what, damage) => {
    const [source, target] = [await Instance.start(), await Instance.start()];
    await fill(source);
    await fill(target);
    const before = await target.stored();
    const file = damage(await source.export({ passphrase: PASSPHRASE }));
    await expect(target.import(file, PASSPHRASE)).rejects.toMatchObject({
      code: 'BACKUP_UNREADABLE',
    });
    await expect(target.import(file, 'another passphrase')).rejects.toMatchObject({
      code: 'BACKUP_UNREADABLE',
    });
    expect(await target.stored()).toEqual(before);
    expect(target.spools()).toEqual([]);
  });

  it('with a record that does not fit its collection changes nothing, and names field and no value', async () => {
    const target = await Instance.start();
    const entries =
      '{"server":[{"id":"a","host":"h","username":"u","password":"p"},{"id":"b","host":7}]}';
    const file = `{"format":"vault-config-backup","version":1,"entries":${entries}}`;
    await expect(target.import(Buffer.from(file))).rejects.toMatchObject({
      code: 'BACKUP_RECORDS_REFUSED',
      message: expect.stringContaining('server b (field "host" expected a string, met a number)'),
    });
    expect(await target.database.collection('server').count()).toBe(0);
    expect(target.spools()).toEqual([]);
  });
});
