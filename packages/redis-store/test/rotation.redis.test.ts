/** Rotation while the database serves: with one process, with several, cut short at every step. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { envelopeKeyId, KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import type { CredentialDatabase } from '../src/credential-database.js';
import { staticCustody } from '../src/keys/static-custody.js';
import { sealBytes } from '../src/state/seal.js';
import type { SealContent } from '../src/state/seal.js';
import { DatabaseFixture, fill } from './database-fixture.js';

let fixture: DatabaseFixture;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.closeAll();
  await fixture.reset();
});
afterAll(async () => {
  await fixture.stop();
});

/** Ids of the keys that records are under, as Redis has them. */
async function keysInUse(): Promise<string[]> {
  const names = await fixture.client.keys('vault:{*}:r:*');
  const heads = await Promise.all(names.map((name) => fixture.client.getBuffer(name)));
  return [...new Set(heads.map((head) => envelopeKeyId(head ?? Buffer.alloc(0)) ?? 'none'))];
}

/** Reads, finds, adds, changes and removes until it is stopped; every answer is checked. */
function load(database: CredentialDatabase): { stop(): Promise<number> } {
  const servers = database.collection('server');
  const clients = { areStopped: false };
  const worker = async (number: number): Promise<number> => {
    let rounds = 0;
    for (; !clients.areStopped; rounds++) {
      const host = `load-${number}-${rounds}`;
      const id = await servers.add({ host, username: `w${number}`, port: 0 });
      expect((await servers.find({ host })).map((found) => found.id)).toEqual([id]);
      await expect(servers.add({ host })).rejects.toMatchObject({ code: 'UNIQUE_CONFLICT' });
      await servers.set(id, { port: 1 });
      expect((await servers.get(id))?.record).toEqual({ host, username: `w${number}`, port: 1 });
      const own = await servers.find({ username: `w${number}` });
      expect(own.length).toBe(rounds % 3 === 0 ? 1 : (rounds % 3) + 1);
      const done = rounds % 3 === 2 ? own : [];
      expect(await Promise.all(done.map((one) => servers.remove(one.id)))).toEqual(
        done.map(() => true),
      );
    }
    return rounds;
  };
  const running = Promise.all([0, 1, 2, 3].map(worker));
  return {
    stop: async () => {
      clients.areStopped = true;
      return (await running).reduce((sum, rounds) => sum + rounds, 0);
    },
  };
}

describe('a rotation', () => {
  test('files every record under the new key while clients read, search and write', async () => {
    const database = await fixture.open();
    await fill(database, 1500);
    const before = (await database.status()).activeKeyId;
    const clients = load(database);
    const report = await database.rotateKey();
    expect(await clients.stop()).toBeGreaterThan(0);
    expect(report.previousKeyId).toBe(before);
    expect(await keysInUse()).toEqual([report.activeKeyId]);
    expect((await database.verify()).problems).toEqual([]);
    const status = await database.status();
    expect(status).toMatchObject({
      state: 'encrypted',
      activeKeyId: report.activeKeyId,
      inactiveKeyIds: [before],
      pendingKeyId: null,
    });
    expect(status.halves.keyIds).toEqual([before, report.activeKeyId]);
  });

  test('is confirmed by every live process, and all of them go on', async () => {
    const [one, two] = [await fixture.open(), await fixture.open()];
    await fill(one, 500);
    const clients = load(one);
    const id = await one.collection('server').add({ host: 'shared' });
    await two.rotateKey();
    expect(await clients.stop()).toBeGreaterThan(0);
    expect((await one.collection('server').get(id))?.record).toEqual({ host: 'shared' });
    await one.collection('server').set(id, { label: 'written by the one that did not rotate' });
    const { activeKeyId } = await two.status();
    expect(await keysInUse()).toEqual([activeKeyId]);
  });

  test('changes nothing and names the process that cannot load the new key', async () => {
    const pair = [KeyHalf.generate(), KeyHalf.generate()] as const;
    fixture.custody = staticCustody(pair);
    const one = await fixture.open();
    await fill(one, 10);
    const apart = await fixture.open({ custody: staticCustody(pair) });
    const before = await one.status();
    const refused = one.rotateKey({ confirmWithinMs: 1500 });
    await expect(refused).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
    await expect(refused).rejects.toThrow(
      new RegExp(`not confirmed by process ${process.pid} on `),
    );
    const after = await one.status();
    expect(after).toMatchObject({ state: 'encrypted', activeKeyId: before.activeKeyId });
    expect(after.pendingKeyId).not.toBeNull();
    await apart.collection('server').add({ host: 'still served' });
    await apart.close();
    const report = await one.rotateKey();
    expect(report.activeKeyId).toBe(after.pendingKeyId);
  });

  test('is done once by several processes that find the same key old', async () => {
    const [one, two] = [await fixture.open(), await fixture.open()];
    await fill(one, 20);
    const old = await one.keyUse();
    expect((await two.keyUse())?.activeSinceMs).toBe(old?.activeSinceMs);
    expect(old?.encryptions).toBeGreaterThanOrEqual(20);
    const results = await Promise.allSettled(
      [one, two].map((database) => database.rotateKey({ onlyIfActive: old?.keyId as KeyId })),
    );
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await expect(one.rotateKey({ onlyIfActive: old?.keyId as KeyId })).rejects.toMatchObject({
      code: 'OPERATION_REFUSED',
    });
    expect((await one.status()).inactiveKeyIds).toEqual([old?.keyId]);
    const fresh = await two.keyUse();
    expect(fresh?.keyId).not.toBe(old?.keyId);
    expect(fresh?.activeSinceMs).toBeGreaterThanOrEqual(old?.activeSinceMs ?? Infinity);
  });

  test('is refused while another runs, and where the database is plaintext', async () => {
    const database = await fixture.open();
    await fill(database, 2000);
    const first = database.rotateKey();
    await expect(database.rotateKey()).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
    await first;
    await database.close();
    await fixture.using({ encrypt: false }, async (plain) => {
      await expect(plain.rotateKey()).rejects.toThrow(/not encrypted/);
    });
  });

  test('is refused with the reason where no half can be written', async () => {
    const custody = staticCustody([KeyHalf.generate(), KeyHalf.generate()]);
    custody.appendRefusal = async () => Promise.resolve('both sources are read only');
    fixture.custody = custody;
    const database = await fixture.open();
    await expect(database.rotateKey()).rejects.toThrow(/both sources are read only/);
    expect((await database.status()).pendingKeyId).toBeNull();
  });
});

describe('a rotation cut short', () => {
  test('at any step is finished or taken up again, and no record or key is lost', async () => {
    const steps: string[] = [];
    await fixture.using({ onStep: async (step) => void steps.push(step) }, async (database) => {
      await fill(database, 300);
      steps.length = 0;
      await database.rotateKey();
    });
    const places = [...new Set(steps)];
    expect(places.length).toBeGreaterThan(5);
    for (const place of places) {
      await fixture.closeAll();
      await fixture.reset();
      let isArmed = false;
      const cut = await fixture.open({
        onStep: async (step) => {
          if (isArmed && step === place) throw new Error('cut');
          return Promise.resolve();
        },
      });
      await fill(cut, 300);
      const ids = (await cut.collection('server').list({ limit: 1000 })).records.map(
        ({ id }) => id,
      );
      isArmed = true;
      await expect(cut.rotateKey()).rejects.toThrow('cut');
      await cut.close();
      await fixture.using({}, async (database) => {
        expect(database.state).toBe('encrypted');
        const listed = await database.collection('server').list({ limit: 1000 });
        expect(listed.records.map(({ id }) => id)).toEqual(ids);
        expect(listed.unreadable).toEqual([]);
        expect((await database.verify()).problems).toEqual([]);
        await database.rotateKey();
        const { activeKeyId, halves } = await database.status();
        expect(await keysInUse()).toEqual([activeKeyId]);
        // A pending key is taken up, so no rotation leaves a key that was never used.
        expect(halves.keyIds.length).toBeLessThanOrEqual(3);
      });
    }
  });

  test('leaves a record that cannot be read where it is, under its old key, and ends', async () => {
    const database = await fixture.open();
    await fill(database, 20);
    const bad = await database.collection('server').add({ host: 'bad' });
    const name = `vault:{server}:r:${bad}`;
    const stored = (await fixture.client.getBuffer(name)) ?? Buffer.alloc(0);
    stored[stored.length - 1] = (stored.at(-1) ?? 0) ^ 1;
    await fixture.client.set(name, stored);
    const { previousKeyId, activeKeyId } = await database.rotateKey();
    expect(database.state).toBe('encrypted');
    expect((await keysInUse()).toSorted()).toEqual([previousKeyId, activeKeyId].toSorted());
    const { problems } = await database.verify();
    expect(problems).toEqual([expect.objectContaining({ kind: 'unreadable', id: bad })]);
    await expect(database.deleteInactiveKeys()).rejects.toMatchObject({
      code: 'OPERATION_REFUSED',
    });
    expect(fixture.logger.lines).toContainEqual(
      expect.objectContaining({ message: 'A record cannot be read and was left as it is' }),
    );
    await fixture.using({}, async (again) => expect(again.state).toBe('encrypted'));
  });

  test('taken up again encrypts only what is not under the new key yet', async () => {
    const before = new Map<string, Buffer | null>();
    const read = async (): Promise<[string, Buffer | null][]> => {
      const names = await fixture.client.keys('vault:{*}:r:*');
      return Promise.all(
        names.map(async (name) => [name, await fixture.client.getBuffer(name)] as const),
      ) as Promise<[string, Buffer | null][]>;
    };
    const stop = async (step: string): Promise<void> => {
      if (step !== 'refile-written') return;
      for (const [name, bytes] of await read()) before.set(name, bytes);
      throw new Error('stopped');
    };
    const database = await fixture.open({ onStep: stop });
    await fill(database, 20);
    await database.rotateKey().catch(() => undefined);
    await database.close();
    await fixture.using({}, async (again) => expect(again.state).toBe('encrypted'));
    expect(before.size).toBe(21);
    expect(new Map(await read())).toEqual(before);
  });

  test('is finished by another process that serves', async () => {
    let isArmed = false;
    const cut = await fixture.open({
      onStep: async (step) => {
        if (isArmed && step === 'refile-batch') throw new Error('cut');
        return Promise.resolve();
      },
    });
    await fill(cut, 300);
    const other = await fixture.open();
    isArmed = true;
    await expect(cut.rotateKey()).rejects.toThrow('cut');
    await cut.close();
    while ((await other.status()).state !== 'encrypted') {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await keysInUse()).toEqual([(await other.status()).activeKeyId]);
    expect((await other.verify()).problems).toEqual([]);
  });
});

describe('a key that stayed pending', () => {
  test('goes with the others at decryption, and is not taken for new after another encryption', async () => {
    const cut = await fixture.open({
      onStep: (step) =>
        step === 'rotate-pending' ? Promise.reject(new Error('cut')) : Promise.resolve(),
    });
    await fill(cut, 10);
    await expect(cut.rotateKey()).rejects.toThrow('cut');
    await cut.close();
    await fixture.using({ encrypt: false }, async (database) => {
      const { pendingKeyId, halves } = await database.status();
      expect({ pendingKeyId, keyIds: halves.keyIds }).toEqual({ pendingKeyId: null, keyIds: [] });
    });
    const database = await fixture.open();
    const { activeKeyId, previousKeyId } = await database.rotateKey();
    expect(activeKeyId).not.toBe(previousKeyId);
  });
});

describe('deleting inactive keys', () => {
  test('is refused for the key in use, whatever names it inactive', async () => {
    await fixture.using({}, (database) => database.markBootstrapped());
    const { ring } = await fixture.custody.load();
    const content = JSON.parse(
      (await fixture.client.get('vault:{meta}:seal'))?.split('\n')[0] ?? '',
    ) as SealContent;
    const key = content.keyId === null ? undefined : ring.byId(content.keyId);
    const epoch = content.epoch + 1;
    const wrong = sealBytes({ ...content, epoch, inactiveKeyIds: [...ring.ids] }, 'vault', key);
    await fixture.client.set('vault:{meta}:seal', wrong);
    await fixture.using({}, async (database) => {
      await expect(database.deleteInactiveKeys()).rejects.toThrow(`the key ${key?.id} is in use`);
    });
    expect((await fixture.custody.load()).ring.ids).toEqual(ring.ids);
  });

  test('removes their lines once no record needs them, and gives their ids', async () => {
    const database = await fixture.open();
    await fill(database, 100);
    const { previousKeyId, activeKeyId } = await database.rotateKey();
    const nothing = { deletedKeys: [], condemnedKeys: [], notErased: [] };
    expect(await database.deleteInactiveKeys()).toEqual({
      ...nothing,
      deletedKeys: [previousKeyId],
    });
    expect(await database.deleteInactiveKeys()).toEqual(nothing);
    const status = await database.status();
    expect(status.halves.keyIds).toEqual([activeKeyId]);
    expect(status.inactiveKeyIds).toEqual([]);
  });

  test('deletes none once another process has the lock, though everything was proven before', async () => {
    const onStep = async (step: string): Promise<void> => {
      if (step === 'delete-inactive-proven') await fixture.client.set('vault:{meta}:lock', 'other');
    };
    const database = await fixture.open({ onStep });
    const { previousKeyId } = await database.rotateKey();
    await expect(database.deleteInactiveKeys()).rejects.toThrow('migration lock was lost');
    expect((await fixture.custody.load()).ring.ids).toContain(previousKeyId);
    await fixture.client.del('vault:{meta}:lock');
  });

  test('knows them after the state record was lost and made again', async () => {
    const previousKeyId = await fixture.using({}, async (database) => {
      await fill(database, 10);
      return (await database.rotateKey()).previousKeyId;
    });
    await fixture.client.del('vault:{meta}:seal');
    await fixture.using({}, async (database) => {
      expect(fixture.logger.lines).toContainEqual(
        expect.objectContaining({
          message: expect.stringContaining('made again from the witness'),
        }),
      );
      expect(database.inactiveKeyIds).toEqual([previousKeyId]);
      expect((await database.deleteInactiveKeys()).deletedKeys).toEqual([previousKeyId]);
      expect((await database.status()).halves.keyIds).not.toContain(previousKeyId);
    });
    // Gone for good: a seal that is lost again does not bring it back.
    await fixture.client.del('vault:{meta}:seal');
    await fixture.using({}, async (database) => {
      expect(await database.deleteInactiveKeys()).toMatchObject({ deletedKeys: [] });
    });
  });

  test('is refused where the database is plaintext and Redis keeps nothing on disk', async () => {
    const forgetful = await DatabaseFixture.start({});
    try {
      const id = await forgetful.using({}, async (database) => {
        await fill(database, 5);
        return (await database.status()).activeKeyId;
      });
      await forgetful.using({ encrypt: false }, async (database) => {
        expect(database.inactiveKeyIds).toEqual([id]);
        expect((await database.status()).keptKeysBecause).not.toBeNull();
        await expect(database.deleteInactiveKeys()).rejects.toThrow(/is plaintext: its keys/);
      });
    } finally {
      await forgetful.stop();
    }
  });

  test('is refused for a record outside the id list that is under one of them, and for a kept backup', async () => {
    const database = await fixture.open();
    await fill(database, 20);
    const [name] = await fixture.client.keys('vault:{server}:r:*');
    const old = (await fixture.client.getBuffer(name ?? '')) ?? Buffer.alloc(0);
    const { previousKeyId } = await database.rotateKey();
    await fixture.client.set('vault:{server}:r:put-back', old);
    await expect(database.deleteInactiveKeys()).rejects.toThrow(
      new RegExp(`r:put-back is under the key ${previousKeyId}`),
    );
    await fixture.client.del('vault:{server}:r:put-back');
    const line = JSON.stringify({ id: 'x', stored: old.toString('base64') });
    const path = join(fixture.dataDir, 'encryption-backup_3.json');
    writeFileSync(path, `${' '.repeat(65_530)}${line}`);
    await expect(database.deleteInactiveKeys()).rejects.toThrow(/encryption-backup_3\.json/);
    expect((await database.status()).halves.keyIds).toContain(previousKeyId);
  });
});
