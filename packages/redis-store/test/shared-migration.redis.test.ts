/** A migration that one server begins and another one, with a data folder of its own, meets. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { DatabaseFixture, fill } from './database-fixture.js';

let fixture: DatabaseFixture;
let otherDir: string;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
beforeEach(() => {
  otherDir = mkdtempSync(join(tmpdir(), 'vault-other-'));
});
afterEach(async () => {
  await fixture.closeAll();
  await fixture.reset();
  rmSync(otherDir, { recursive: true });
});
afterAll(async () => {
  await fixture.stop();
});

/** Begins *encrypt* over some plaintext records, and stops at a step as a crash would. */
async function cutAt(place: string): Promise<void> {
  await fixture.using({ encrypt: false }, (database) => fill(database, 30));
  await fixture.openDegraded({
    onStep: async (step) => {
      if (step === place) throw new Error('cut');
      return Promise.resolve();
    },
  });
}

test('in its middle: the other is degraded and says which server goes on', async () => {
  await cutAt('encrypt-verified');
  const degraded = await fixture.openDegraded({ dataDir: otherDir });
  expect(degraded.reason).toBe('migrationFailed');
  expect(degraded.details.advice).toMatch(
    /^start the server on \S+ in whose data folder the migration began/,
  );
  await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  await fixture.using({ dataDir: otherDir }, async (database) => {
    expect(await database.collection('server').count()).toBe(30);
  });
});

test('at its end: the other finishes, and the first deletes its plaintext when it is back', async () => {
  await cutAt('scrubbed-redis');
  await fixture.using({ dataDir: otherDir }, async (database) => {
    expect(database.state).toBe('encrypted');
  });
  expect(fixture.files()).toContain('encryption-backup.json');

  // Neither of this database, nor plaintext, nor a backup at all.
  const head = { format: 'vault-migration-backup', version: 1 };
  const kept = {
    'encryption-backup_1.json': `${JSON.stringify({ ...head, databaseId: 'another', of: 'plaintext' }).slice(0, -1)},"records":[\n\n]}\n`,
    'encryption-backup_2.json': 'no backup',
    'encryption-backup_3.json': '',
  };
  for (const [name, text] of Object.entries(kept)) {
    writeFileSync(join(fixture.dataDir, name), text);
  }
  await fixture.using({}, async (database) => {
    const { databaseId } = await database.status();
    const envelopes = `${JSON.stringify({ ...head, databaseId, of: 'encrypted' }).slice(0, -1)},"records":[\n\n]}\n`;
    writeFileSync(join(fixture.dataDir, 'encryption-backup_4.json'), envelopes);
  });
  await fixture.using({}, async () => Promise.resolve());
  expect(readdirSync(fixture.dataDir).filter((name) => name.includes('backup'))).toEqual([
    ...Object.keys(kept),
    'encryption-backup_4.json',
  ]);
  expect(existsSync(join(fixture.dataDir, 'encryption-backup.json.manifest'))).toBe(false);
});

test('while the first wrote its backup: what it had written is deleted when it is back', async () => {
  await cutAt('state-set');
  const [{ databaseId }] = [
    JSON.parse(((await fixture.client.get('vault:{meta}:seal')) ?? '').split('\n')[0] ?? '') as {
      databaseId: string;
    },
  ];
  const head = { format: 'vault-migration-backup', version: 1, databaseId, of: 'plaintext' };
  const cut = 'encryption-backup.json.tmp-00000000-4711-0a1b2c3d4e5f6071';
  const text = `${JSON.stringify(head).slice(0, -1)},"records":[\n{"collection":"server","id":"a"`;
  writeFileSync(join(fixture.dataDir, cut), text);
  await fixture.using({ dataDir: otherDir }, async (database) => {
    expect(database.state).toBe('encrypted');
  });
  await fixture.using({}, async (database) => expect(database.state).toBe('encrypted'));
  expect(fixture.files()).not.toContain(cut);
});

test('in its middle: a tool that looks says what is under way, what to do and what not', async () => {
  await cutAt('encrypt-verified');
  const seen = await fixture.using({ role: 'tool' }, (database) => database.status());
  expect(seen).toMatchObject({
    state: 'encrypting',
    underWay: {
      what: expect.stringContaining('the records are being encrypted'),
      toDo: expect.stringMatching(
        /^no server is at it: start the server, with the settings of before/,
      ),
      notToDo: expect.stringContaining(join(fixture.dataDir, 'encryption-backup.json.manifest')),
    },
  });
  await fixture.using({}, async (database) => {
    expect((await database.status()).underWay).toBeNull();
  });
});
