/** An enemy who can write to Redis and has no key: noticed, named, nothing opened, no key destroyed. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { acceptDatabase } from '../src/recover/accept.js';
import { canonicalDefinitions } from '../src/records/collection-definition.js';
import type { SealContent } from '../src/state/seal.js';
import { ACCEPT_ADVICE as ACCEPT } from '../src/errors.js';
import { contents, DatabaseFixture, fill, USER } from './database-fixture.js';
import { SERVER } from './store-fixture.js';

const SEAL = 'vault:{meta}:seal';
const FENCE = 'vault:{server}:meta';
const ADMIN = '{"email":"mallory@evil.example","pwHash":"known"}';

let fixture: DatabaseFixture;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
  await fixture.using({ encrypt: false }, async (database) => fill(database, 20));
});
afterEach(async () => {
  await fixture.stop();
});

async function plantAdministrator(): Promise<void> {
  await fixture.client.set('vault:{user}:r:mallory', ADMIN);
  await fixture.client.zadd('vault:{user}:ids', 0, 'mallory');
}

async function keyIds(): Promise<readonly string[]> {
  return (await fixture.custody.load()).ring.ids;
}

const encrypt = async (): Promise<void> => fixture.using({}, async () => undefined);

describe('a planted plaintext record', () => {
  it('stops an encryption that it was planted in the middle of', async () => {
    const error = await fixture.openDegraded({
      onStep: async (step) => (step === 'backup-sealed' ? plantAdministrator() : undefined),
    });
    expect(error.reason).toBe('migrationFailed');
    expect(error.details.cause).toContain('user mallory');
    expect(error.details.backupPath).toBe(`${fixture.dataDir}/encryption-backup.json`);
    expect(fixture.files()).toContain('encryption-backup.json');
    expect(await keyIds()).toHaveLength(1);
  });

  it('is not opened while encrypted, and is named by verify', async () => {
    await encrypt();
    await plantAdministrator();
    await fixture.using({}, async (database) => {
      await expect(database.collection('user').get('mallory')).rejects.toMatchObject({
        code: 'RECORD_UNREADABLE',
        reason: 'plaintext',
      });
      expect(await database.collection('user').find({ email: 'mallory@evil.example' })).toEqual([]);
      const { isSound, problems } = await database.verify();
      expect(isSound).toBe(false);
      expect(problems).toEqual([
        { kind: 'unreadable', collection: 'user', id: 'mallory', reason: 'plaintext' },
      ]);
    });
  });

  it('does not become a record by decryption: that is refused, and the database stays encrypted', async () => {
    await encrypt();
    await plantAdministrator();
    const error = await fixture.openDegraded({ encrypt: false });
    expect(error.reason).toBe('migrationFailed');
    expect(error.details.cause).toContain('user mallory');
    expect(await keyIds()).toHaveLength(1);
    await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  });
});

describe('the seal', () => {
  it('is made again when it was deleted, since witness and fences agree', async () => {
    await encrypt();
    await fixture.client.del(SEAL);
    await fixture.using({}, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await database.verify()).toMatchObject({ isSound: true, records: 21 });
    });
    expect(fixture.logger.lines.map(({ message }) => message)).toContain(
      'The seal was not right and was made again from the witness',
    );
  });

  it('is not believed when it says plaintext without a signature', async () => {
    await encrypt();
    const seal = await fixture.client.get(SEAL);
    const content = JSON.parse(seal?.split('\n')[0] ?? '') as object;
    const forged = { ...content, state: 'plaintext', keyId: null, epoch: 99, activeSinceMs: null };
    await fixture.client.set(SEAL, `${JSON.stringify(forged)}\n-`);
    await fixture.client.set(FENCE, 'forged');
    const error = await fixture.openDegraded();
    expect(error.reason).toBe('foreignDatabase');
    expect(error.details.cause).toContain('no such key signed');
    expect(await fixture.openDegraded({ encrypt: false })).toMatchObject({
      reason: 'foreignDatabase',
    });
    expect(await keyIds()).toHaveLength(1);
  });

  it('is not believed when it was changed', async () => {
    await encrypt();
    const seal = (await fixture.client.get(SEAL)) ?? '';
    await fixture.client.set(SEAL, seal.replace('"bootstrapped":true', '"bootstrapped":false'));
    await fixture.client.set(FENCE, 'forged');
    const error = await fixture.openDegraded();
    expect(error.reason).toBe('foreignDatabase');
    expect(error.details.cause).toContain('not made by a holder');
  });
});

describe('a seal that was made again', () => {
  it('does not cost the backup that is kept because Redis proves too little', async () => {
    await fixture.client.config('SET', 'appendonly', 'no');
    await fixture.client.config('SET', 'save', '');
    await encrypt();
    const backups = ['encryption-backup.json', 'encryption-backup.json.manifest'];
    expect(fixture.files()).toEqual([...backups, 'vault-state']);
    await fixture.client.del(SEAL);
    await encrypt();
    expect(fixture.files()).toEqual([...backups, 'vault-state']);
    const said = fixture.logger.lines.findLast(({ message }) => message.includes('are kept'));
    expect(said?.data).toMatchObject({
      files: [backups[0]],
      cause: expect.stringContaining('keeps nothing on disk') as unknown,
    });
    await fixture.client.config('SET', 'appendonly', 'yes');
    await encrypt();
    expect(fixture.files()).toEqual(['vault-state']);
  });
});

describe('a key of the state that holds another type', () => {
  it.each([SEAL, FENCE, 'vault:{meta}:processes'])(
    'is named, and once %s is removed the server starts',
    async (key) => {
      await encrypt();
      await fixture.client.del(key);
      await fixture.client.rpush(key, 'x');
      const { reason, details } = await fixture.openDegraded();
      expect(reason).toBe('redisUnusable');
      expect(details.cause).toContain(`the key ${key} holds another type`);
      expect(details.cause).toContain(`DEL ${key}`);
      await fixture.client.del(key);
      await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
    },
  );
});

describe('an earlier seal', () => {
  it('is not believed by a running server whose witness was lost', async () => {
    await encrypt();
    await fixture.using({}, async (database) => {
      const earlier = (await fixture.client.get(SEAL)) ?? '';
      await database.pin();
      fixture.removeFile('vault-state');
      await fixture.client.set(SEAL, earlier);
      await expect(database.status()).rejects.toMatchObject({ reason: 'foreignDatabase' });
      await expect(database.collection('user').get('ada')).rejects.toMatchObject({
        code: 'DATABASE_DEGRADED',
      });
    });
  });
});

describe('a plaintext seal that somebody put there', () => {
  async function forge(changes: object): Promise<void> {
    const seal = await fixture.client.get(SEAL);
    const content = JSON.parse(seal?.split('\n')[0] ?? '') as object;
    const plain = { ...content, state: 'plaintext', keyId: null, activeSinceMs: null, ...changes };
    await fixture.client.set(SEAL, `${JSON.stringify(plain)}\n-`);
  }

  it('is not believed by a server without a witness while a record is under a key', async () => {
    await encrypt();
    await plantAdministrator();
    await forge({ epoch: 99 });
    await fixture.client.del(FENCE, 'vault:{user}:meta');
    fixture.removeFile('vault-state');
    const error = await fixture.openDegraded();
    expect(error.reason).toBe('foreignDatabase');
    expect(error.details.cause).toMatch(/says plaintext, but the key vault:.* is encrypted/);
    expect(await fixture.client.get('vault:{user}:r:mallory')).toBe(ADMIN);
  });

  it.each([
    ['an epoch just below the last integer', { epoch: Number.MAX_SAFE_INTEGER - 2 }],
    ['a time beyond the calendar', { activeSinceMs: 9e15 }],
    ['definitions that nobody can read', { definitions: '[["server",1,5]]' }],
    ['definitions that are no JSON', { definitions: 'x', previousDefinitions: 'x' }],
  ])('with %s is refused, and accept-database begins a new one', async (_, changes) => {
    const records = await fixture.using({ encrypt: false }, contents);
    const witness = fixture.readFile('vault-state');
    await forge(changes);
    for (const setting of [true, false]) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      const error = await fixture.openDegraded({ encrypt: setting });
      expect(error).toMatchObject({ reason: 'foreignDatabase', details: { advice: ACCEPT } });
    }
    expect(fixture.readFile('vault-state')).toBe(witness);
    await acceptDatabase({
      allowUnprotected: true,
      redis: { socketPath: fixture.redis.socketPath ?? '' },
      collections: { server: SERVER, user: USER },
      custody: fixture.custody,
      dataDir: fixture.dataDir,
    });
    expect(await fixture.using({}, contents)).toEqual(records);
    expect(await fixture.using({}, contents)).toEqual(records);
  });

  it('with such an epoch degrades a server that runs', async () => {
    await fixture.using({ encrypt: false }, async (database) => {
      await forge({ epoch: Number.MAX_SAFE_INTEGER - 2 });
      await expect(database.status()).rejects.toMatchObject({ reason: 'foreignDatabase' });
    });
  });

  it.each(['[["server",5]]', '[5]', '[["server",[["host"]]]]', '{}', '"', '5'])(
    'with the fields %s stops no start, in plaintext or encrypted',
    async (fields) => {
      const records = await fixture.using({ encrypt: false }, contents);
      await forge({ fields });
      expect(await fixture.using({ encrypt: false }, contents)).toEqual(records);
      await forge({ fields });
      expect(await fixture.using({}, contents)).toEqual(records);
      expect(await fixture.using({}, contents)).toEqual(records);
    },
  );

  /** The seal as Redis holds it. */
  async function sealed(): Promise<SealContent> {
    return JSON.parse((await fixture.client.get(SEAL))?.split('\n')[0] ?? '') as SealContent;
  }
  /** All that can be said without being noticed. */
  async function lie(): Promise<void> {
    const [first, second] = [await fixture.custody.append(), await fixture.custody.append()];
    await forge({
      epoch: (await sealed()).epoch + 1,
      origin: 'made-encrypted',
      bootstrapped: false,
      inactiveKeyIds: [first.id],
      pendingKeyId: second.id,
      activeSinceMs: 5,
      fields: '[["user",[["email","s"]]]]',
      definitions: canonicalDefinitions({ server: SERVER, user: { ...USER, indexes: {} } }),
      files: ['encryption-backup.json', 'encryption-backup_7.json'],
    });
  }

  it.each([
    ['while no server runs', async () => lie()],
    [
      'while a server runs, which follows it',
      () =>
        fixture.using({ encrypt: false }, async (database) => {
          const before = await sealed();
          await forge({ ...before, epoch: before.epoch + 1, origin: 'made-encrypted' });
          await database.status();
          await lie();
          // Its collections are others: not served, and not taken over.
          await expect(database.status()).rejects.toMatchObject({ reason: 'startFailed' });
        }),
    ],
  ])('%s has nothing sealed of what it says but the id', async (_, change) => {
    const before = await sealed();
    await change();
    let first: SealContent | undefined;
    const beganMs = Date.now();
    const onStep = async (step: string): Promise<void> => {
      if (step === 'state-set') first = await sealed();
    };
    await fixture.using({ onStep }, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 21 });
      const key = (await database.status()).activeKeyId;
      expect(first).toEqual({
        ...before,
        epoch: expect.any(Number) as unknown,
        state: 'encrypting',
        keyId: key,
        activeSinceMs: expect.any(Number) as unknown,
        fields: null,
        migration: expect.objectContaining({ from: 'plaintext' }) as unknown,
        files: ['encryption-backup.json', 'encryption-backup.json.manifest'],
        bootstrapped: true,
      });
    });
    expect(first?.activeSinceMs).toBeGreaterThanOrEqual(beganMs);
    expect(await sealed()).toMatchObject({ origin: 'switched-on', inactiveKeyIds: [] });
  });

  it('with properties that are none, or of many megabytes, has none of it sealed', async () => {
    const names = Object.keys(await sealed());
    await forge({ junk: 'x', retired: null });
    await encrypt();
    expect(Object.keys(await sealed())).toEqual(names);

    await fixture.reset();
    await fixture.using({ encrypt: false }, async (database) => fill(database, 3));
    await forge({ junk: 'x'.repeat(2 ** 20) });
    const error = await fixture.openDegraded();
    expect(error).toMatchObject({ reason: 'foreignDatabase', details: { advice: ACCEPT } });
    expect(error.details.cause).toContain('damaged');
  });

  it('decides nothing of an absent setting where no witness knows the database', async () => {
    fixture.removeFile('vault-state');
    await encrypt();
    // The safe side: it was switched on, but nothing that is signed says so.
    expect(await sealed()).toMatchObject({ origin: 'made-encrypted' });
    await fixture.using({ encrypt: undefined }, async (database) => {
      expect(database.state).toBe('encrypted');
    });
  });

  it('does not have a key that was given up used again', async () => {
    await encrypt();
    const [old] = await keyIds();
    // Redis proves nothing, so the lines stay.
    await fixture.client.config('SET', 'appendonly', 'no');
    await fixture.client.config('SET', 'save', '');
    await fixture.using({ encrypt: false }, () => Promise.resolve());
    expect(await keyIds()).toEqual([old]);
    await forge({ inactiveKeyIds: [], retired: null });
    await encrypt();
    expect((await sealed()).keyId).not.toBe(old);
    expect((await sealed()).inactiveKeyIds).toEqual([old]);
  });

  it('does not have the server delete a file that is not of a migration', async () => {
    await forge({ files: ['vault-encryption-key'] });
    writeFileSync(join(fixture.dataDir, 'vault-encryption-key'), 'half B');
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(fixture.readFile('vault-encryption-key')).toBe('half B');
  });

  /** Backups of an earlier time, as an operator keeps them. @returns their names */
  function keepBackups(databaseId: string): readonly string[] {
    const kept = ['encryption-backup.json', 'encryption-backup.json.pgp'];
    const head = { format: 'vault-migration-backup', version: 1, databaseId, of: 'plaintext' };
    for (const name of kept) {
      const text = `${JSON.stringify(head).slice(0, -1)},"records":[\n\n]}\n`;
      writeFileSync(join(fixture.dataDir, name), text);
    }
    return kept;
  }

  it('does not have a kept backup deleted once the database is encrypted, though it bears its id', async () => {
    const kept = keepBackups((await sealed()).databaseId);
    await forge({ files: kept });
    await encrypt();
    expect(fixture.files()).toEqual(expect.arrayContaining([...kept]));
    expect(fixture.logger.lines).toContainEqual(
      expect.objectContaining({
        message: expect.stringContaining('files of an earlier time') as unknown,
        data: { files: kept.map((name) => join(fixture.dataDir, name)) },
      }),
    );
  });

  it('does not have a kept backup deleted by taking its id', async () => {
    const databaseId = '00000000-0000-4000-8000-000000000000';
    const kept = keepBackups(databaseId);
    fixture.removeFile('vault-state');
    await forge({ databaseId });
    await encrypt();
    expect((await sealed()).databaseId).toBe(databaseId);
    expect(fixture.files()).toEqual(expect.arrayContaining([...kept]));
  });

  it('does not have a kept backup deleted with the keys of a decryption', async () => {
    await encrypt();
    const kept = keepBackups((await sealed()).databaseId);
    // Redis proves nothing, so the lines stay for now.
    await fixture.client.config('SET', 'appendonly', 'no');
    await fixture.client.config('SET', 'save', '');
    await fixture.using({ encrypt: false }, () => Promise.resolve());
    const own = (await sealed()).files;
    expect(fixture.files()).toEqual(expect.arrayContaining([...own]));
    await forge({ files: [...kept, ...own] });
    await fixture.client.config('SET', 'appendonly', 'yes');
    await fixture.using({ encrypt: false }, () => Promise.resolve());
    expect(fixture.files()).toEqual([...kept, 'vault-state']);
    expect(await keyIds()).toEqual([]);
  });

  it('does not have the key of another database deleted once this one is encrypted', async () => {
    const another = await fixture.custody.append();
    await forge({ inactiveKeyIds: [another.id] });
    await encrypt();
    await fixture.using({}, async (database) => {
      await database.rotateKey();
      await database.deleteInactiveKeys();
    });
    expect(await keyIds()).toContain(another.id);
  });
});

describe('the state of a copy that was decrypted', () => {
  let copy = '';
  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'vault-copy-'));
  });
  afterEach(() => rmSync(copy, { recursive: true }));

  const accept = () =>
    acceptDatabase({
      allowUnprotected: true,
      redis: { socketPath: fixture.redis.socketPath ?? '' },
      collections: { server: SERVER, user: USER },
      custody: fixture.custody,
      dataDir: fixture.dataDir,
    });
  /** The original stood as it was; its key is still there, since Redis proves nothing. */
  async function putThere(): Promise<void> {
    cpSync(fixture.dataDir, copy, { recursive: true });
    await fixture.client.config('SET', 'appendonly', 'no');
    await fixture.client.config('SET', 'save', '');
    await fixture.using({ encrypt: false, dataDir: copy }, () => Promise.resolve());
    await plantAdministrator();
  }
  const isPlanted = async (): Promise<boolean> =>
    (await fixture.client.get('vault:{user}:r:mallory')) === ADMIN;

  it('is not encrypted where the setting is true: an operator decides', async () => {
    await encrypt();
    await putThere();
    const witness = fixture.readFile('vault-state');
    for (const role of ['server', 'tool', 'server'] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      const error = await fixture.openDegraded({ role });
      expect(error).toMatchObject({ reason: 'foreignDatabase', details: { advice: ACCEPT } });
      expect(error.details.cause).toContain('a decrypted copy');
    }
    expect(await isPlanted()).toBe(true);
    expect(fixture.readFile('vault-state')).toBe(witness);
    await accept();
    await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  });

  it('is not served where the setting is absent, and the database was made encrypted or is pinned', async () => {
    await fixture.reset();
    await fixture.using({}, async (database) => fill(database, 3));
    await putThere();
    const error = await fixture.openDegraded({ encrypt: undefined });
    expect(error).toMatchObject({ reason: 'foreignDatabase' });
  });

  it('is not served where the setting is false, and this server knew the database pinned', async () => {
    await encrypt();
    await fixture.using({}, (database) => database.pin());
    const witness = fixture.readFile('vault-state');
    await fixture.using({}, (database) => database.pin(false));
    await putThere();
    writeFileSync(join(fixture.dataDir, 'vault-state'), witness);
    expect(await fixture.openDegraded({ encrypt: false })).toMatchObject({
      reason: 'foreignDatabase',
    });
  });

  it('is not taken over by a tool that is open meanwhile', async () => {
    await encrypt();
    const original = await fixture.snapshot();
    await putThere();
    const decrypted = await fixture.snapshot();
    await fixture.rollBack(original);
    const witness = fixture.readFile('vault-state');
    const tool = await fixture.open({ role: 'tool' });
    await fixture.rollBack(decrypted);
    await expect(tool.status()).rejects.toMatchObject({
      reason: 'foreignDatabase',
      details: { advice: ACCEPT },
    });
    expect(() => tool.state).toThrow('not the one that this server knows');
    await tool.close();
    expect(fixture.readFile('vault-state')).toBe(witness);
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(await isPlanted()).toBe(true);
  });

  it('is no more than what a tool sees, which notes nothing that it did not do', async () => {
    await encrypt();
    const witness = fixture.readFile('vault-state');
    const tool = await fixture.open({ role: 'tool' });
    cpSync(fixture.dataDir, copy, { recursive: true });
    await fixture.using({ dataDir: copy }, (database) => database.pin());
    expect((await tool.status()).pinned).toBe(true);
    // Long after it would have looked whether that is safe.
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 60_000);
    await tool.status();
    clock.mockRestore();
    expect(fixture.readFile('vault-state')).toBe(witness);
    // What it does itself it notes.
    await tool.pin(false);
    expect(JSON.parse(fixture.readFile('vault-state'))).toMatchObject({ pinned: false });
    expect(fixture.readFile('vault-state')).not.toBe(witness);
  });

  it('is what a tool follows where the setting is false', async () => {
    await encrypt();
    const tool = await fixture.open({ role: 'tool', encrypt: false });
    await fixture.using({ encrypt: false }, async (database) => {
      expect(database.state).toBe('plaintext');
      expect((await tool.status()).state).toBe('plaintext');
    });
  });

  it('is served where the setting is false, as when another server decrypted it', async () => {
    await encrypt();
    await putThere();
    await fixture.using({ encrypt: false }, async (database) => {
      expect(database.state).toBe('plaintext');
    });
    // From then on this server knows it so, and encrypts it.
    await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  });
});

describe('the whole database', () => {
  it('is refused when it was rolled back to plaintext', async () => {
    const dump = await fixture.snapshot();
    await encrypt();
    await fixture.rollBack(dump);
    for (const setting of [true, false]) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      const error = await fixture.openDegraded({ encrypt: setting });
      expect(error.reason).toBe('foreignDatabase');
      expect(error.details.cause).toContain('rolled back');
    }
    expect(await keyIds()).toHaveLength(1);
  });

  it('is refused when it was emptied', async () => {
    await encrypt();
    await fixture.client.flushall();
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(await fixture.client.dbsize()).toBe(0);
  });
});

describe('ids taken out of the list', () => {
  it('stop a decryption before a key is destroyed', async () => {
    await encrypt();
    await fixture.client.zrem('vault:{server}:ids', 'server-00003');
    const error = await fixture.openDegraded({ encrypt: false });
    expect(error.reason).toBe('migrationFailed');
    expect(error.details.cause).toContain('server server-00003');
    expect(await keyIds()).toHaveLength(1);

    // Put back by the repair, the decryption goes on.
    await fixture.using({ role: 'tool', encrypt: false }, async (database) => {
      expect(await database.repairIndexes()).toEqual({ repaired: { unlisted: 1 }, left: [] });
    });
    await fixture.using({ encrypt: false }, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 21 });
    });
  });

  it('stop an encryption', async () => {
    await fixture.client.zrem('vault:{server}:ids', 'server-00003');
    const error = await fixture.openDegraded();
    expect(error.details.cause).toContain('server-00003');
  });
});

describe('an index entry', () => {
  it('that points at another record is not believed, named by verify, and mended', async () => {
    await encrypt();
    const [key = ''] = await fixture.client.keys('vault:{server}:u:host:*');
    const owner = await fixture.client.get(key);
    const other = owner === 'server-00001' ? 'server-00002' : 'server-00001';
    await fixture.client.set(key, other);
    await fixture.using({}, async (database) => {
      const servers = database.collection('server');
      const host = (await servers.get(owner ?? ''))?.record['host'] ?? '';
      expect(await servers.find({ host })).toEqual([]);
      const { problems } = await database.verify();
      expect(problems.map(({ kind, id }) => [kind, id])).toEqual([
        ['entry-missing', owner],
        ['entry-foreign', other],
      ]);
      await database.repairIndexes();
      expect(await database.verify()).toMatchObject({ isSound: true });
      expect((await servers.find({ host })).map(({ id }) => id)).toEqual([owner]);
    });
  });
});

describe('a forged fence', () => {
  it('is set right and named, and the write goes through', async () => {
    await encrypt();
    await fixture.using({}, async (database) => {
      await fixture.client.set(FENCE, 'forged');
      await database.collection('server').add({ host: 'new.example' });
      expect(await database.verify()).toMatchObject({ isSound: true, records: 22 });
    });
    expect(fixture.logger.lines.filter(({ level }) => level === 'error')).toMatchObject([
      { data: { partitions: ['server'] } },
    ]);
  });
});

describe('an envelope that was put elsewhere', () => {
  const SERVER_3 = 'vault:{server}:r:server-00003';
  const SERVER_7 = 'vault:{server}:r:server-00007';
  const reasons = async (): Promise<unknown> =>
    fixture.using({}, async (database) =>
      Object.fromEntries(
        (await database.verify()).problems
          .filter(({ kind }) => kind === 'unreadable')
          .map(({ id, reason }) => [id, reason]),
      ),
    );

  it('is reported as moved, swapped, copied, or from another collection; an altered one as tampered', async () => {
    await encrypt();
    const [three, seven, ada] = await Promise.all(
      [SERVER_3, SERVER_7, 'vault:{user}:r:ada'].map((key) => fixture.client.getBuffer(key)),
    );
    await fixture.client.set(SERVER_3, seven as Buffer);
    await fixture.client.set(SERVER_7, three as Buffer);
    await fixture.client.set('vault:{server}:r:server-00009', ada as Buffer);
    await fixture.client.setrange('vault:{server}:r:server-00011', 60, 'X');
    expect(await reasons()).toEqual({
      'server-00003': 'moved',
      'server-00007': 'moved',
      'server-00009': 'moved',
      'server-00011': 'tampered',
    });
  });

  it('is reported as of an inactive key where a rotation came between', async () => {
    await encrypt();
    const old = (await fixture.client.getBuffer(SERVER_3)) as Buffer;
    await fixture.using({}, (database) => database.rotateKey());
    await fixture.client.set(SERVER_3, old);
    expect(await reasons()).toEqual({ 'server-00003': 'inactive-key' });
  });
});

describe('a replayed envelope of the same record', () => {
  const RECORD = 'vault:{server}:r:server-00003';
  const passwordOf = async (): Promise<unknown> =>
    fixture.using({}, async (database) => {
      expect((await database.verify()).isSound).toBe(true);
      return (await database.collection('server').get('server-00003'))?.record['password'];
    });
  /** The record as it was, then with a new password. */
  async function change(): Promise<Buffer> {
    await encrypt();
    const old = (await fixture.client.getBuffer(RECORD)) as Buffer;
    await fixture.using({}, (database) =>
      database.collection('server').set('server-00003', { password: 'NEW' }),
    );
    return old;
  }

  it('is not noticed, in another epoch of the same key neither', async () => {
    const old = await change();
    await fixture.using({}, (database) => database.pin());
    expect(await passwordOf()).toBe('NEW');
    await fixture.client.set(RECORD, old);
    expect(await passwordOf()).toBe('SECRET-3');
  });

  it('is carried over by a rotation that comes after it', async () => {
    await fixture.client.set(RECORD, await change());
    await fixture.using({}, (database) => database.rotateKey());
    expect(await passwordOf()).toBe('SECRET-3');
  });

  it('is noticed after a rotation that came before it', async () => {
    const old = await change();
    await fixture.using({}, (database) => database.rotateKey());
    await fixture.client.set(RECORD, old);
    await fixture.using({}, async (database) => {
      await expect(database.collection('server').get('server-00003')).rejects.toMatchObject({
        code: 'RECORD_UNREADABLE',
      });
      expect((await database.verify()).problems).toContainEqual(
        expect.objectContaining({ id: 'server-00003', reason: 'inactive-key' }),
      );
    });
  });

  it('is noticed by verify where its indexed values were others, and its old entries are gone', async () => {
    await encrypt();
    const old = (await fixture.client.getBuffer(RECORD)) as Buffer;
    await fixture.using({}, (database) =>
      database.collection('server').set('server-00003', { host: 'elsewhere.example' }),
    );
    await fixture.client.set(RECORD, old);
    await fixture.using({}, async (database) => {
      const { counts } = await database.verify();
      expect(counts).toMatchObject({ 'entry-missing': 2, 'entry-foreign': 2 });
    });
  });
});

describe('a forged heartbeat', () => {
  it('of the opposite setting does not stop a start', async () => {
    await encrypt();
    const identity = { id: 'forged', host: 'elsewhere', pid: 1, incarnation: '' };
    const beat = {
      v: 1,
      identity,
      role: 'server',
      isEncrypting: false,
      beat: 1,
      beatAtMs: Date.now(),
    };
    await fixture.client.set('vault:{meta}:process:forged', `${JSON.stringify(beat)}\n`);
    await fixture.client.zadd('vault:{meta}:processes', Date.now() + 60_000, 'forged');
    await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  });
});

describe('what stands in the place of the count of encryptions', () => {
  it.each([
    ['a text', (key: string) => fixture.client.set(key, 'many')],
    ['a negative number', (key: string) => fixture.client.set(key, '-5')],
    ['a number beyond all', (key: string) => fixture.client.set(key, '9'.repeat(19))],
    ['a list', (key: string) => fixture.client.lpush(key, '1')],
  ])('stops neither status nor count where it is %s', async (_, put) => {
    await encrypt();
    await fixture.using({}, async (database) => {
      const { activeKeyId } = await database.status();
      const key = `vault:{meta}:encryptions:${activeKeyId}`;
      await fixture.client.del(key);
      await put(key);
      expect((await database.keyUse())?.encryptions).toBeGreaterThanOrEqual(0);
      await database.collection('server').add({ host: 'one.example' });
      await database.collection('server').add({ host: 'two.example' });
      expect((await database.status()).encryptions).toBeGreaterThan(20);
      expect(Number(await fixture.client.get(key))).toBeGreaterThan(20);
    });
  });
});

describe('a lock that was taken away once the id of a new key was announced', () => {
  it('has no line of that key written', async () => {
    const announced: unknown[] = [];
    const onStep = async (step: string): Promise<void> => {
      if (step !== 'key-announced') return;
      announced.push(JSON.parse((await fixture.client.get(SEAL))?.split('\n')[0] ?? ''));
      if (announced.length === 1) await fixture.client.del('vault:{meta}:lock');
    };
    await fixture.using({ onStep }, async (database) => {
      const { activeKeyId } = await database.status();
      expect(announced).toMatchObject([{}, { pendingKeyId: activeKeyId }]);
      expect(await keyIds()).toEqual([activeKeyId]);
    });
  });
});

describe('records taken away', () => {
  it('during a migration are named, and the backup is kept', async () => {
    const error = await fixture.openDegraded({
      onStep: async (step) => {
        if (step !== 'backup-sealed') return;
        await fixture.client.del('vault:{server}:r:server-00004');
        await fixture.client.zrem('vault:{server}:ids', 'server-00004');
      },
    });
    expect(error.details.cause).toContain('server server-00004');
    expect(fixture.files()).toContain('encryption-backup.json');
  });
});

describe('undisturbed', () => {
  it('everything is as it was', async () => {
    const before = await fixture.using({ encrypt: false }, contents);
    await encrypt();
    expect(await fixture.using({}, contents)).toEqual(before);
  });
});
