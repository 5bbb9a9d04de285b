/** Conditional writes: on the content that was read, whatever became of the bytes that it was stored in. */
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { CredentialDatabase } from '../src/credential-database.js';
import type { Stored } from '../src/collections/collection-reader.js';
import { DatabaseFixture } from './database-fixture.js';

let fixture: DatabaseFixture;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
beforeEach(async () => {
  await fixture.closeAll();
  await fixture.reset();
});
afterAll(() => fixture.stop());

const CONFLICT = { code: 'REVISION_CONFLICT' };

async function addAndRead(database: CredentialDatabase): Promise<Stored> {
  const servers = database.collection('server');
  await servers.add({ host: 'a', label: 'read' }, { id: 'a' });
  return (await servers.get('a')) as Stored;
}

/** What rewrites every record, from before a revision is read to after. */
const REWRITINGS: Readonly<
  Record<
    string,
    {
      wasEncrypted: boolean;
      readonly rewrite: (before: CredentialDatabase) => Promise<CredentialDatabase>;
    }
  >
> = {
  'a rotation and the deletion of the old key': {
    wasEncrypted: true,
    rewrite: async (database) => {
      await database.rotateKey();
      await database.deleteInactiveKeys();
      return database;
    },
  },
  'an encryption': {
    wasEncrypted: false,
    rewrite: async (database) => {
      await database.close();
      return fixture.open({ encrypt: true });
    },
  },
  'a decryption': {
    wasEncrypted: true,
    rewrite: async (database) => {
      await database.close();
      return fixture.open({ encrypt: false });
    },
  },
};

describe.each(Object.entries(REWRITINGS))('over %s', (_, { wasEncrypted, rewrite }) => {
  test('what was read can still be changed and removed on that condition', async () => {
    const before = await fixture.open({ encrypt: wasEncrypted });
    const { revision } = await addAndRead(before);
    const servers = (await rewrite(before)).collection('server');
    const changed = await servers.set('a', { label: 'changed' }, { revision });
    expect(changed.record).toEqual({ host: 'a', label: 'changed' });
    await expect(servers.set('a', { label: 'again' }, { revision })).rejects.toMatchObject(
      CONFLICT,
    );
    expect(await servers.remove('a', { revision: changed.revision })).toBe(true);
  });

  test('what somebody changed before is not overwritten', async () => {
    const before = await fixture.open({ encrypt: wasEncrypted });
    const { revision } = await addAndRead(before);
    await before.collection('server').set('a', { label: 'of somebody else' });
    const servers = (await rewrite(before)).collection('server');
    await expect(servers.set('a', { port: 1 }, { revision })).rejects.toMatchObject(CONFLICT);
    await expect(servers.remove('a', { revision })).rejects.toMatchObject(CONFLICT);
    expect((await servers.get('a'))?.record).toEqual({ host: 'a', label: 'of somebody else' });
  });
});

test('a record that is gone has not the content that was read', async () => {
  const database = await fixture.open();
  const { revision } = await addAndRead(database);
  const servers = database.collection('server');
  await servers.remove('a');
  await expect(servers.set('a', { label: 'b' }, { revision })).rejects.toMatchObject(CONFLICT);
  await expect(servers.remove('a', { revision })).rejects.toMatchObject(CONFLICT);
});

test('a revision shows nothing of the record where it is printed', async () => {
  const { revision } = await addAndRead(await fixture.open());
  expect(JSON.stringify(revision)).toBe('{}');
  expect(inspect(revision)).toBe('Revision {}');
});
