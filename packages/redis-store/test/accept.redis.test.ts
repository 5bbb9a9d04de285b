/** The operator accepts what Redis holds, after the witness refused it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { acceptDatabase } from '../src/recover/accept.js';
import type { AcceptReport } from '../src/recover/accept.js';
import { contents, DatabaseFixture, fill, USER } from './database-fixture.js';
import { SERVER } from './store-fixture.js';

let fixture: DatabaseFixture;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.stop();
});

const ADMIN = '{"email":"mallory@evil.example","pwHash":"known"}';
const SEAL = 'vault:{meta}:seal';

function accept(allowUnprotected = false): Promise<AcceptReport> {
  return acceptDatabase({
    allowUnprotected,
    redis: { socketPath: fixture.redis.socketPath ?? '' },
    collections: { server: SERVER, user: USER },
    custody: fixture.custody,
    dataDir: fixture.dataDir,
  });
}

describe('accepting a database', () => {
  it('lets an emptied Redis begin anew, and keeps the old witness', async () => {
    await fixture.using({}, async (database) => fill(database, 3));
    await fixture.client.flushall();
    await fixture.openDegraded();
    const report = await accept();
    expect(report).toMatchObject({ basis: 'nothing', state: undefined, keyId: null });
    expect(report.formerWitness).toMatch(/vault-state\.replaced-\d+$/);
    await fixture.using({}, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await database.collection('server').count()).toBe(0);
    });
  });

  it('takes an older authentic seal', async () => {
    await fixture.using({}, async (database) => fill(database, 3));
    const old = await fixture.client.get('vault:{meta}:seal');
    await fixture.using({}, async (database) => database.markBootstrapped());
    await fixture.client.set('vault:{meta}:seal', old ?? '');
    await fixture.client.del('vault:{server}:meta');
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(await accept()).toMatchObject({ basis: 'seal', state: 'encrypted' });
    await fixture.using({}, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: 4 });
    });
  });

  it('takes the word of all fences where seal and witness are lost', async () => {
    const before = await fixture.using({}, async (database) => {
      await fill(database, 3);
      return contents(database);
    });
    await fixture.client.del('vault:{meta}:seal');
    fixture.removeFile('vault-state');
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(await accept()).toMatchObject({ basis: 'fences', state: 'encrypted' });
    expect(await fixture.using({}, contents)).toEqual(before);
  });

  it('keeps every key, where the fences are those of before a rotation', async () => {
    const fences = ['vault:{server}:meta', 'vault:{user}:meta'];
    await fixture.using({}, async (database) => fill(database, 1));
    const old = await fixture.client.mget(fences);
    const { previousKeyId, activeKeyId } = await fixture.using({}, async (database) =>
      database.rotateKey(),
    );
    await fixture.client.del('vault:{meta}:seal');
    await Promise.all(fences.map((key, i) => fixture.client.set(key, old[i] ?? '')));
    await fixture.openDegraded();
    expect(await accept()).toMatchObject({ basis: 'fences', keyId: previousKeyId });
    await fixture.using({}, async (database) => {
      expect((await database.status()).activeKeyId).toBe(previousKeyId);
      expect(database.inactiveKeyIds).toEqual([activeKeyId]);
      // The records are under it.
      await expect(database.deleteInactiveKeys()).rejects.toThrow(`under the key ${activeKeyId}`);
    });
    expect((await fixture.custody.load()).ring.ids.toSorted()).toEqual(
      [previousKeyId, activeKeyId].toSorted(),
    );
  });

  it('takes the word of all fences against a plaintext seal that somebody put there', async () => {
    const before = await fixture.using({}, async (database) => {
      await fill(database, 3);
      return contents(database);
    });
    const [json = ''] = ((await fixture.client.get('vault:{meta}:seal')) ?? '').split('\n');
    const forged = { ...(JSON.parse(json) as object), state: 'plaintext', keyId: null, epoch: 99 };
    await fixture.client.set('vault:{meta}:seal', `${JSON.stringify(forged)}\n-`);
    fixture.removeFile('vault-state');
    expect(await fixture.openDegraded()).toMatchObject({ reason: 'foreignDatabase' });
    expect(await accept()).toMatchObject({ basis: 'fences', state: 'encrypted' });
    expect(await fixture.using({}, contents)).toEqual(before);
  });

  it('is refused where records are encrypted and nothing tells under which key', async () => {
    await fixture.using({}, async (database) => fill(database, 3));
    await fixture.client.del('vault:{meta}:seal', 'vault:{server}:meta', 'vault:{user}:meta');
    const refused: unknown = await accept().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'OPERATION_REFUSED' });
    expect(String(refused)).toContain('encrypted');
    expect(fixture.files()).toEqual(['vault-state']);
  });

  it.each([
    ['cut', (seal: string) => seal.slice(0, 40)],
    ['nonsense', () => 'nonsense'],
  ])(
    'puts a seal aside that is %s, and serves the plaintext records that are there',
    async (_, change) => {
      const records = await fixture.using({ encrypt: false }, async (database) => {
        await fill(database, 3);
        return contents(database);
      });
      const wrong = change((await fixture.client.get('vault:{meta}:seal')) ?? '');
      await fixture.client.set('vault:{meta}:seal', wrong);
      await fixture.openDegraded({ encrypt: false });
      const { basis, formerSeal = '' } = await accept(true);
      expect(basis).toBe('nothing');
      expect(readFileSync(formerSeal, 'utf8')).toBe(wrong);
      // As a power cut leaves it: the witness is new, the seal is still there.
      await fixture.client.set('vault:{meta}:seal', wrong);
      await fixture.openDegraded({ encrypt: false });
      expect(await accept(true)).toMatchObject({ basis: 'nothing' });
      expect(await fixture.using({ encrypt: false }, contents)).toEqual(records);
      expect(await fixture.using({ encrypt: true }, contents)).toEqual(records);
    },
  );

  it('lets a migration go on whose manifest was deleted', async () => {
    const before = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 10);
      return contents(database);
    });
    const stop = (step: string): Promise<void> =>
      step === 'encrypt-transformed' ? Promise.reject(new Error('stopped')) : Promise.resolve();
    await fixture.openDegraded({ onStep: stop });
    fixture.removeFile('encryption-backup.json.manifest');
    const error = await fixture.openDegraded();
    expect(error.details.cause).toContain('manifest');
    await expectRefused(
      /^the database is encrypting, .* 0 of the 11 records in Redis are plaintext/,
    );
    await accept(true);
    expect(await fixture.using({}, contents)).toEqual(before);
  });
});

/** Nothing is changed by it. */
async function expectRefused(message: RegExp): Promise<void> {
  const stands = async (): Promise<unknown> => [
    await fixture.dump(),
    fixture.files(),
    fixture.readFile('vault-state'),
  ];
  const before = await stands();
  await expect(accept()).rejects.toMatchObject({
    code: 'OPERATION_REFUSED',
    message: expect.stringMatching(message),
  });
  expect(await stands()).toEqual(before);
}

describe('plaintext records, which anybody can have written', () => {
  const plant = async (): Promise<void> => {
    await fixture.client.set('vault:{user}:r:mallory', ADMIN);
    await fixture.client.zadd('vault:{user}:ids', 0, 'mallory');
  };

  it.each(['state-set', 'backup-sealed'])(
    'are not made authentic by the seal of an encryption, as it was at %s',
    async (at) => {
      await fixture.using({ encrypt: false }, async (database) => fill(database, 3));
      let encrypting = '';
      const onStep = async (step: string): Promise<void> => {
        if (step === at) encrypting = (await fixture.client.get(SEAL)) ?? '';
      };
      await fixture.using({ onStep }, () => Promise.resolve());
      await fixture.client.set(SEAL, encrypting);
      await fixture.client.del('vault:{server}:meta', 'vault:{user}:meta');
      await fixture.openDegraded();
      const knew = 'this server knew the database encrypted at epoch \\d+, later than this state';
      // Before anything is planted, too: whoever put the seal there does it before the next start.
      await expectRefused(new RegExp(`^${knew}; .* 0 of the 4 records in Redis are plaintext`));
      await plant();
      await expectRefused(new RegExp(`^${knew}; .* 1 of the 5 records in Redis are plaintext`));
      expect((await fixture.openDegraded()).reason).toBe('foreignDatabase');
    },
  );

  it('are refused where the state is plaintext, and believed where that is wanted', async () => {
    const records = await fixture.using({ encrypt: false }, async (database) => {
      await fill(database, 3);
      return contents(database);
    });
    const plain = await fixture.snapshot();
    await fixture.using({}, () => Promise.resolve());
    await fixture.rollBack(plain);
    await fixture.openDegraded();
    await expectRefused(/4 of the 4 records in Redis are plaintext.*--allow-unprotected/);
    expect(await accept(true)).toMatchObject({ basis: 'seal', state: 'plaintext' });
    expect(await fixture.using({}, contents)).toEqual(records);
  });

  it('are refused where nothing says what database it is', async () => {
    await fixture.using({}, () => Promise.resolve());
    await fixture.client.flushall();
    await plant();
    await fixture.openDegraded();
    await expectRefused(/^1 of the 1 records in Redis are plaintext/);
    expect(await accept(true)).toMatchObject({ basis: 'nothing' });
  });
});
