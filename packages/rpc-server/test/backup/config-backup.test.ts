import { readFileSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import * as openpgp from 'openpgp';
import { Gpg } from '../../../../test/harness/gpg.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { DatabaseConfigBackup, importText } from '../../src/backup/config-backup.js';
import { protectMigrationBackup } from '../../src/backup/protection.js';
import type { ExportParams, ImportParams } from '../../src/backup/port.js';
import { MemoryDatabase, SAMPLE } from './memory-database.js';

const PASSPHRASE = 'correct horse battery';
/** A backup with a bit of its session key turned over: decrypted, it begins as a packet that openpgp 6 waits for the rest of. */
const NEVER_ENDING =
  'wy4ECQMIAx0KKLtmH1X/GX9IJHmQGREotyEChJbYelew+W72WI1QiN6PHx6cW0gP0sCrAep8olUyETzPo++4qbEm7p5Luw7ahM9n' +
  '/Fo1wrLmH9sOoavfqybkIHRzF1m0VKFoJ3yOGDR8YvBw2BPOUsQHoV/Di2zL8/7KcqkkQ1n3BKu3BXe2OFjqxltMy+ixjoaEWA12' +
  'dqm9mQWObiDwgkuUr5m4G8uwC+EHDgCQQdWJG1g/LU7rrjo0ldG02vPTZGvNMkckcSNJDdpdVNsJaJnfRsH5yPEyHofK8S51vtGV' +
  '+/VfsisT6f+uid8kTTC217lTd7nQlkenCFcT9XbwmAUgWJfFn2GGNYcOzCNWMd+hGBeQ1tr3nsYmZBKVeKde8ekrfv5MWWraq8nl' +
  'W5JTMReMOBmQeT+8S8KO2U7NJPALA7/0UpTgcyxvoUI0KIe8d/Up4H+qRNt+5THIHzmFBIo6jhlvafqy811+yJY4F5gbwrF7I5tz' +
  'ITuhc0PUeOdGWNQCeYYU3URc7Nwz/tB/1M79abme6jwZDCBc1bLY';
const PROTECTED = { passphrase: PASSPHRASE };
const OPEN = { allowUnprotected: true };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

function backupOf(database: MemoryDatabase): DatabaseConfigBackup {
  return new DatabaseConfigBackup({ database, logger: silent });
}

async function exported(database: MemoryDatabase, params: ExportParams = {}): Promise<Buffer> {
  return buffer(await backupOf(database).export(params).open());
}

function protectedBy(passphrase: string | undefined): ImportParams {
  return passphrase === undefined ? { allowUnprotected: true } : { passphrase };
}

async function imported(file: Buffer, passphrase?: string): Promise<MemoryDatabase> {
  const target = new MemoryDatabase({});
  await backupOf(target).import(Readable.from([file]), protectedBy(passphrase));
  return target;
}

/** What an import of the file is refused with; fails when anything was changed. */
async function refusal(file: Buffer, params: ImportParams = PROTECTED): Promise<string> {
  const before = { server: { old: { host: 'h' } } };
  const target = new MemoryDatabase(before);
  const refused = await backupOf(target)
    .import(Readable.from([file]), params)
    .then(
      () => undefined,
      (error: unknown) => error as { code: string },
    );
  expect(target.content).toEqual(before);
  return refused?.code ?? 'taken';
}

/** Three records, two of which no import takes; ids out of a file are shown tamed. */
const WITH_INVALID = Buffer.from(
  '{"format":"vault-config-backup","version":1,"entries":{"server":[{"id":"a","host":"h"},{"id":"b","hots":"MARKER-VALUE"},{"host":"x"},{"id":"\\u001b[31m","host":"x"}]}}',
);

const resources = new Resources();
afterEach(() => resources.stop());

describe('a config backup', () => {
  it('fails where a record cannot be read, unless that is asked for', async () => {
    const database = new MemoryDatabase(SAMPLE);
    database.damaged.add('s1');
    await expect(exported(database)).rejects.toMatchObject({ code: 'BACKUP_INCOMPLETE' });
    const prepared = backupOf(database).export({ skipUnreadable: true });
    const { entries } = JSON.parse((await buffer(await prepared.open())).toString()) as {
      entries: { server: object[] };
    };
    expect(entries.server).toEqual([{ id: 's2', host: 'h2', password: '{"}]' }]);
    expect(prepared.leftOut).toBe(1);
  });

  it('of a plaintext database is one JSON document with a record a line, without tokens', async () => {
    const file = await exported(new MemoryDatabase(SAMPLE));
    expect(JSON.parse(file.toString())).toEqual({
      format: 'vault-config-backup',
      version: 1,
      createdAt: expect.stringMatching(/^\d{4}-/),
      entries: {
        server: [
          { id: 's1', host: 'h1', password: 'hunter2secret' },
          { id: 's2', host: 'h2', password: '{"}]' },
        ],
        user: [{ id: 'u1', email: 'a@b', pwHash: '$argon2id$…' }],
        remote: [],
      },
    });
    expect(file.toString().split('\n')).toHaveLength(8);
  });

  it('fails before its first byte, naming the records, where one would not come back', async () => {
    // Fields that no definition has: planted, or of an earlier definition.
    const database = new MemoryDatabase({
      server: { s1: { host: 'h' }, s2: { nonsense: 'MARKER-VALUE' }, s3: { host: 7 } },
    });
    const refused = backupOf(database).export({}).open();
    await expect(refused).rejects.toMatchObject({
      code: 'BACKUP_INCOMPLETE',
      message: expect.stringContaining(
        'server s2 (field "nonsense" is not in the definition of the collection); server s3 (field "host" expected a string, met a number)',
      ),
    });
    await expect(refused).rejects.not.toThrow('MARKER');
    const file = await exported(database, { skipUnreadable: true });
    expect(JSON.parse(file.toString())).toMatchObject({
      entries: { server: [{ id: 's1' }] },
      leftOut: { count: 2, records: [{ id: 's2' }, { id: 's3' }] },
    });
    const target = new MemoryDatabase({});
    const result = await backupOf(target).import(Readable.from([file]), OPEN);
    expect(result).toMatchObject({ records: 1, missingInBackup: 2 });
    expect(importText(result)).toContain('the backup itself lacks 2 records');
  });

  it('gives the same records back, by every road', async () => {
    const { token: _token, ...withoutTokens } = SAMPLE;
    const database = new MemoryDatabase(SAMPLE);
    for (const compress of [false, true]) {
      for (const passphrase of [undefined, PASSPHRASE]) {
        const params = { compress, ...(passphrase !== undefined && { passphrase }) };
        // oxlint-disable-next-line no-await-in-loop -- one road after the other
        const target = await imported(await exported(database, params), passphrase);
        expect(target.content).toEqual(withoutTokens);
      }
    }
  });

  it('of chosen entries holds no others', async () => {
    const file = await exported(new MemoryDatabase(SAMPLE), { entries: ['user'] });
    expect(Object.keys((JSON.parse(file.toString()) as { entries: object }).entries)).toEqual([
      'user',
    ]);
  });

  it.each([['token'], ['unknown']])('cannot hold the entry %s', (entry) => {
    expect(() => backupOf(new MemoryDatabase(SAMPLE)).export({ entries: [entry] })).toThrow(
      expect.objectContaining({ code: 'BACKUP_ENTRY_UNKNOWN' }),
    );
  });

  it('of an encrypted database needs a passphrase, of 12 characters at least', () => {
    const backup = backupOf(new MemoryDatabase(SAMPLE, true));
    expect(() => backup.export({})).toThrow(
      'Credential encryption is enabled: exporting the configuration requires a passphrase',
    );
    expect(() => backup.export({ passphrase: 'elevenchars' })).toThrow(
      expect.objectContaining({ code: 'BACKUP_PASSPHRASE_TOO_SHORT' }),
    );
    expect(backup.export({ passphrase: 'twelve chars' }).fileName).toMatch(
      /^vault-config_\d{8}T\d{6}Z\.json\.pgp$/,
    );
  });

  it('is not streamed in clear when the database was encrypted after it was asked for', async () => {
    const database = new MemoryDatabase(SAMPLE);
    const prepared = backupOf(database).export({});
    database.isNowEncrypted = true;
    await expect(prepared.open()).rejects.toMatchObject({ code: 'BACKUP_PASSPHRASE_REQUIRED' });
  });

  it('fails as a stream when the database fails in the middle', async () => {
    const database = new MemoryDatabase(SAMPLE);
    database.failure = new Error('Redis is gone');
    await expect(exported(database)).rejects.toThrow('Redis is gone');
    await expect(exported(database, { passphrase: PASSPHRASE })).rejects.toThrow('Redis is gone');
    await expect(exported(database, { compress: true })).rejects.toThrow('Redis is gone');
  });
});

describe('gpg', () => {
  let gpg: Gpg;
  let folder: TemporaryFolder;
  beforeAll(() => {
    gpg = new Gpg();
    folder = new TemporaryFolder('vault-backup');
  });
  afterAll(async () => {
    await gpg.stop();
    await folder.stop();
  });

  it('opens a backup, made as we promise: AES-256, MDC, the highest count', async () => {
    const file = folder.join('backup.pgp');
    writeFileSync(file, await exported(new MemoryDatabase(SAMPLE), { passphrase: PASSPHRASE }));
    const { status, stdout } = await gpg.decrypt(file, PASSPHRASE);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ format: 'vault-config-backup' });

    const packets = await gpg.listPackets(file, PASSPHRASE);
    expect(packets.stdout).toContain(
      'symkey enc packet: version 4, cipher 9, aead 0,s2k 3, hash 8',
    );
    expect(packets.stdout).toContain('count 65011712 (255)');
    expect(packets.stdout).toContain('mdc_method: 2');
  });

  it('with a wrong passphrase does not', async () => {
    const file = folder.join('wrong.pgp');
    writeFileSync(file, await exported(new MemoryDatabase(SAMPLE), { passphrase: PASSPHRASE }));
    expect((await gpg.decrypt(file, 'another passphrase')).status).not.toBe(0);
  });

  it('makes files that we import: compressed and encrypted by its own rules', async () => {
    const plain = folder.join('plain.json');
    writeFileSync(plain, await exported(new MemoryDatabase(SAMPLE)));
    await gpg.encrypt(plain, folder.join('by-gpg.pgp'), PASSPHRASE);
    const target = await imported(readFileSync(folder.join('by-gpg.pgp')), PASSPHRASE);
    expect(Object.keys(target.content)).toContain('server');
  });

  it('opens a migration backup that was protected for its key', async () => {
    const recipientKey = await gpg.createKey('Operator <operator@example.org>');
    const protect = protectMigrationBackup({ recipientKey });
    const file = folder.join('migration.pgp');
    writeFileSync(file, await buffer(protect(Readable.from([Buffer.from('{"plain":1}\n')]))));
    expect((await gpg.decrypt(file)).stdout).toBe('{"plain":1}\n');
  });
});

describe('an import of records that cannot be imported', () => {
  it('names all of them, and takes none', async () => {
    const target = new MemoryDatabase({});
    const refused = backupOf(target).import(Readable.from([WITH_INVALID]), OPEN);
    await expect(refused).rejects.toMatchObject({
      code: 'BACKUP_RECORDS_REFUSED',
      refused: {
        count: 3,
        named: [
          {
            collection: 'server',
            id: 'b',
            reason: 'field "hots" is not in the definition of the collection',
          },
          { collection: 'server', id: '#3', reason: 'has no id' },
          { collection: 'server', id: '??31m', reason: expect.stringContaining('field "id"') },
        ],
      },
    });
    await expect(refused).rejects.toThrow('skipInvalid=true');
    await expect(refused).rejects.not.toThrow('MARKER');
    expect(target.content).toEqual({});
  });

  it('leaves them out where it is told to, and says so', async () => {
    const target = new MemoryDatabase({});
    const params = { ...OPEN, skipInvalid: true };
    const result = await backupOf(target).import(Readable.from([WITH_INVALID]), params);
    expect(target.content).toEqual({ server: { a: { host: 'h' } } });
    expect(importText(result)).toContain('1 records\nleft out, 3: server b (field "hots"');
  });

  it('is told by a dry run, which changes nothing', async () => {
    const target = new MemoryDatabase({});
    const params = { ...OPEN, dryRun: true };
    const result = await backupOf(target).import(Readable.from([WITH_INVALID]), params);
    expect(result).toMatchObject({ dryRun: true, records: 1, added: 1, refused: { count: 3 } });
    expect(result.refusal).toContain('skipInvalid=true');
    expect(target.content).toEqual({});
    const skipping = { ...params, skipInvalid: true };
    const other = await backupOf(target).import(Readable.from([WITH_INVALID]), skipping);
    expect(other.refusal).toBeNull();
  });
});

describe('an import is refused, with nothing changed, for', () => {
  let encrypted: Buffer;
  let plain: Buffer;
  beforeAll(async () => {
    encrypted = await exported(new MemoryDatabase(SAMPLE), { passphrase: PASSPHRASE });
    plain = await exported(new MemoryDatabase(SAMPLE));
  });

  it('a wrong or missing passphrase', async () => {
    expect(await refusal(encrypted, { passphrase: 'another passphrase' })).toBe(
      'BACKUP_UNREADABLE',
    );
    const target = new MemoryDatabase({});
    await expect(backupOf(target).import(Readable.from([encrypted]), OPEN)).rejects.toMatchObject({
      code: 'BACKUP_PASSPHRASE_NEEDED',
    });
  });

  it('a file without protection, with a passphrase or without a word on it', async () => {
    for (const file of [plain, gzipSync(plain)]) {
      // oxlint-disable no-await-in-loop -- one file after the other
      expect(await refusal(file)).toBe('BACKUP_NOT_ENCRYPTED');
      expect(await refusal(file, {})).toBe('BACKUP_PROTECTION_UNSAID');
      expect(await refusal(file, { ...PROTECTED, ...OPEN })).toBe('BACKUP_PROTECTION_UNSAID');
      // oxlint-enable no-await-in-loop
    }
  });

  it('an OpenPGP message that is not encrypted', async () => {
    const literal = (await openpgp.createMessage({ binary: new Uint8Array(plain) })).write();
    const signed = await openpgp.createMessage({ binary: new Uint8Array(plain) });
    const { privateKey } = await openpgp.generateKey({
      userIDs: [{ name: 'x' }],
      format: 'object',
    });
    const bytes = await openpgp.sign({
      message: signed,
      signingKeys: privateKey,
      format: 'binary',
    });
    for (const file of [literal as Uint8Array, bytes]) {
      // oxlint-disable-next-line no-await-in-loop -- one file after the other
      expect(await refusal(Buffer.from(file))).toBe('BACKUP_UNREADABLE');
    }
  });

  it('a file that was cut anywhere', async () => {
    for (const [file, params] of [
      [encrypted, PROTECTED],
      [gzipSync(plain), OPEN],
      [plain, OPEN],
    ] as const) {
      for (const share of [0, 0.01, 0.3, 0.7, 0.99]) {
        const cut = file.subarray(0, Math.floor(file.length * share));
        // oxlint-disable-next-line no-await-in-loop -- one file after the other
        expect(await refusal(cut, params)).toBe('BACKUP_UNREADABLE');
      }
    }
    expect(await refusal(encrypted.subarray(0, -1))).toBe('BACKUP_UNREADABLE');
    expect(await refusal(plain.subarray(0, -2), OPEN)).toBe('BACKUP_UNREADABLE');
  });

  it('an encrypted file with any byte altered', async () => {
    for (let at = 1; at < encrypted.length; at += 37) {
      const altered = Buffer.from(encrypted);
      altered[at] = (altered[at] ?? 0) ^ 0x40;
      // oxlint-disable-next-line no-await-in-loop -- one file after the other
      expect(await refusal(altered)).toMatch(/^BACKUP_(UNREADABLE|REFUSED)$/);
    }
  });

  it('an encrypted file that the library would read for ever', async () => {
    expect(await refusal(Buffer.from(NEVER_ENDING, 'base64'))).toBe('BACKUP_UNREADABLE');
  });

  it.each<[string, string | Buffer, string]>([
    ['an empty file', '', 'BACKUP_UNREADABLE'],
    ['text', 'hello', 'BACKUP_UNREADABLE'],
    ['JSON of another program', '{"servers":[{"host":"h"}]}', 'BACKUP_UNREADABLE'],
    [
      'entries before the format',
      '{"entries":{"server":[]},"format":"vault-config-backup","version":1}',
      'BACKUP_UNREADABLE',
    ],
    ['no entries', '{"format":"vault-config-backup","version":1}', 'BACKUP_UNREADABLE'],
    [
      'entries that are no object',
      '{"format":"vault-config-backup","version":1,"entries":7}',
      'BACKUP_UNREADABLE',
    ],
    [
      'a newer version',
      '{"format":"vault-config-backup","version":2,"entries":{}}',
      'BACKUP_REFUSED',
    ],
    ['an array', '[]', 'BACKUP_UNREADABLE'],
    [
      'something after the end',
      '{"format":"vault-config-backup","version":1,"entries":{}} x',
      'BACKUP_UNREADABLE',
    ],
    [
      'gzip of gzip of gzip of gzip',
      gzipSync(gzipSync(gzipSync(gzipSync('{}')))),
      'BACKUP_REFUSED',
    ],
    ['a bomb', gzipSync(Buffer.alloc(8 * 1024 * 1024, ' ')), 'BACKUP_UNREADABLE'],
  ])('%s', async (_what, text, code) => {
    expect(await refusal(Buffer.from(text), OPEN)).toBe(code);
  });

  it.each([
    ['entries twice', '"entries":{},"entries":{"server":[{"id":"a"}]}'],
    ['a collection twice', '"entries":{"server":[{"id":"a"}],"server":[{"id":"b"}]}'],
    ['a format twice', '"entries":{},"format":"another"'],
    ['something that it should not have', '"entries":{},"more":{}'],
  ])('%s', async (_what, rest) => {
    const file = `{"format":"vault-config-backup","version":1,${rest}}`;
    expect(await refusal(Buffer.from(file), OPEN)).toBe('BACKUP_UNREADABLE');
  });

  it.each([
    ['an unknown collection', '{"nonsense":[{"id":"a"}]}'],
    ['tokens', '{"token":[{"id":"t1"}]}'],
    ['a collection named __proto__', '{"__proto__":[{"id":"a"}]}'],
    ['a record named by a number', '{"server":[{"id":7}]}'],
    ['something that is no record', '{"server":[7]}'],
    ['a record without id', '{"server":[{"host":"h"}]}'],
    ['a field __proto__', '{"server":[{"id":"a","__proto__":{"x":1}}]}'],
    ['a field constructor deep inside', '{"server":[{"id":"a","x":[{"constructor":1}]}]}'],
    ['a deep value', `{"server":[{"id":"a","x":${'['.repeat(40)}${']'.repeat(40)}}]}`],
    [
      'a record after good ones that the store refuses',
      '{"server":[{"id":"a","host":"h"},{"id":"bad id"}]}',
    ],
  ])('%s', async (_what, entries) => {
    const file = `{"format":"vault-config-backup","version":1,"entries":${entries}}`;
    expect(await refusal(Buffer.from(file), OPEN)).toBe('BACKUP_RECORDS_REFUSED');
  });

  it('a record larger than any', async () => {
    const file = `{"format":"vault-config-backup","version":1,"entries":{"server":[{"id":"a","x":"${'x'.repeat(3 * 1024 * 1024)}"}]}}`;
    expect(await refusal(Buffer.from(file), OPEN)).toBe('BACKUP_RECORDS_REFUSED');
  });

  it('an OpenPGP message for more recipients than we try', async () => {
    const message = await openpgp.createMessage({ binary: new Uint8Array([0x7b, 0x7d]) });
    const passwords = Array.from({ length: 9 }, (_value, i) => `passphrase number ${i}`);
    const file = await openpgp.encrypt({ message, passwords, format: 'binary' });
    expect(await refusal(Buffer.from(file))).toBe('BACKUP_REFUSED');
  });

  it('an OpenPGP message whose key derivation wants more memory than we give', async () => {
    const message = await openpgp.createMessage({ binary: new Uint8Array([0x7b, 0x7d]) });
    const config = {
      s2kType: openpgp.enums.s2k.argon2 as const,
      s2kArgon2Params: { passes: 1, parallelism: 1, memoryExponent: 17 },
      aeadProtect: true,
    };
    const file = await openpgp.encrypt({
      message,
      passwords: [PASSPHRASE],
      format: 'binary',
      config,
    });
    expect(await refusal(Buffer.from(file))).toBe('BACKUP_UNREADABLE');
  });

  it('the loss of the last administrator who can sign in', async () => {
    const admin = { email: 'Ada', permission: 'admin', pwHash: '$argon2id$a' };
    const file = (user: object): Buffer =>
      Buffer.from(
        `{"format":"vault-config-backup","version":1,"entries":{"user":[${JSON.stringify(user)}]}}`,
      );
    const code = async (present: Record<string, object>, user: object) => {
      const target = new MemoryDatabase({ user: present } as typeof SAMPLE);
      return backupOf(target)
        .import(Readable.from([file(user)]), OPEN)
        .then(
          () => 'taken',
          (error: unknown) => (error as { code: string }).code,
        );
    };
    const LOST = 'BACKUP_NO_ADMINISTRATOR';
    expect(await code({ u1: admin }, { id: 'u1', email: 'Ada', permission: 'none' })).toBe(LOST);
    expect(await code({ u1: admin }, { id: 'u1', email: 'Ada', permission: 'admin' })).toBe(LOST);
    expect(await code({ u1: admin }, { ...admin, id: 'u1', email: ' Ada' })).toBe(LOST);
    // Pushed out by the same name under another id.
    expect(await code({ u1: admin }, { id: 'u2', email: 'ADA', permission: 'none' })).toBe(LOST);
    expect(await code({ u1: admin }, { ...admin, id: 'u2' })).toBe('taken');
    expect(await code({ u1: admin }, { id: 'u2', email: 'Bob', permission: 'none' })).toBe('taken');
    expect(await code({}, { id: 'u2', email: 'Bob', permission: 'none' })).toBe('taken');
    const two = { u1: admin, u2: { ...admin, email: 'Bob' } };
    expect(await code(two, { id: 'u1', email: 'Ada', permission: 'none' })).toBe('taken');
  });

  it('the loss of the last administrator who was another one when the upload began', async () => {
    const admin = { email: 'Ada', permission: 'admin', pwHash: '$argon2id$a' };
    const present = { u1: admin, u2: { ...admin, email: 'Bob' } };
    const target = new MemoryDatabase({ user: present });
    const source = Readable.from(
      (function* () {
        yield Buffer.from('{"format":"vault-config-backup","version":1,"entries":{"user":[');
        // Meanwhile an administrator demotes the other one.
        target.content['user'] = { ...present, u2: { ...present.u2, permission: 'none' } };
        yield Buffer.from('{"id":"u1","email":"Ada","permission":"none"}]}}');
      })(),
    );
    const importing = backupOf(target).import(source, OPEN);
    await expect(importing).rejects.toMatchObject({ code: 'BACKUP_NO_ADMINISTRATOR' });
    expect(target.content['user']?.['u1']).toEqual(admin);
  });

  it('an upload that is cut off, with the error of the upload', async () => {
    const source = Readable.from(
      (function* () {
        yield encrypted.subarray(0, 100);
        throw new Error('aborted');
      })(),
    );
    const target = new MemoryDatabase({});
    await expect(backupOf(target).import(source, { passphrase: PASSPHRASE })).rejects.toThrow(
      'aborted',
    );
    expect(target.content).toEqual({});
  });

  it('a last question that is refused, once all was read', async () => {
    const target = new MemoryDatabase({});
    const importing = backupOf(target).import(
      Readable.from([encrypted]),
      { passphrase: PASSPHRASE },
      () => Promise.reject(new Error('no administrator any more')),
    );
    await expect(importing).rejects.toThrow('no administrator any more');
    expect(target.content).toEqual({});
  });

  it('no reason, when the same passphrase and the whole file are given, armored or not', async () => {
    const message = await openpgp.createMessage({ binary: new Uint8Array(plain) });
    const armored: string = await openpgp.encrypt({ message, passwords: [PASSPHRASE] });
    const target = await imported(Buffer.from(armored), PASSPHRASE);
    expect(Object.keys(target.content)).toContain('user');
    expect(gunzipSync(gzipSync(plain))).toEqual(plain);
  });
});
