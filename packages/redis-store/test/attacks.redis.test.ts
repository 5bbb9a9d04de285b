/** An enemy who can write to Redis and has no key: noticed, named, nothing opened, no key destroyed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { acceptDatabase } from '../src/recover/accept.js';
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
    await fixture.client.set(SEAL, seal.replace('"bootstrapped":false', '"bootstrapped":true'));
    await fixture.client.set(FENCE, 'forged');
    const error = await fixture.openDegraded();
    expect(error.reason).toBe('foreignDatabase');
    expect(error.details.cause).toContain('not made by a holder');
  });
});

describe('an earlier seal', () => {
  it('is not believed by a running server whose witness was lost', async () => {
    await encrypt();
    await fixture.using({}, async (database) => {
      const earlier = (await fixture.client.get(SEAL)) ?? '';
      await database.markBootstrapped();
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
    ['epoch just below the last integer', { epoch: Number.MAX_SAFE_INTEGER - 2 }],
    ['time beyond the calendar', { activeSinceMs: 9e15 }],
    ['definitions that nobody can read', { definitions: '[["server",1,5]]' }],
    ['definitions that are no JSON', { definitions: 'x', previousDefinitions: 'x' }],
  ])('with an %s is refused, and accept-database begins a new one', async (_, changes) => {
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

  it('does not have the server delete a file that is not of a migration', async () => {
    await forge({ files: ['vault-encryption-key'] });
    writeFileSync(join(fixture.dataDir, 'vault-encryption-key'), 'half B');
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(fixture.readFile('vault-encryption-key')).toBe('half B');
  });

  it('does not have a kept backup of another database deleted once this one is encrypted', async () => {
    const kept = ['encryption-backup.json', 'encryption-backup.json.pgp'];
    const head = { format: 'vault-migration-backup', version: 1, databaseId: 'x', of: 'plaintext' };
    for (const name of kept) {
      const text = `${JSON.stringify(head).slice(0, -1)},"records":[\n\n]}\n`;
      writeFileSync(join(fixture.dataDir, name), text);
    }
    await forge({ files: kept });
    await encrypt();
    expect(fixture.files()).toEqual(expect.arrayContaining(kept));
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
    await fixture.using({}, (database) => database.markBootstrapped());
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
