/** A secret that an operator replaces: the database goes over to it by itself, and breaks for no server that has the old one still. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { CredentialDatabase } from '@vault/redis-store';
import { KeyAgeWatch } from '../../src/lifecycle/key-age-watch.js';
import { rotationNote } from '../../src/lifecycle/rotation-note.js';
import { contents, fill, KeysFixture } from './keys-fixture.js';

const DAY_MS = 86_400_000;
const newSecret = (): string => randomBytes(32).toString('base64');

let at: KeysFixture;
let watches: KeyAgeWatch[] = [];
beforeEach(async () => {
  at = await KeysFixture.start();
  at.halfA = { source: 'env' };
  at.variables = { VAULT_MASTER_KEY: newSecret() };
});
afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.stop()));
  watches = [];
  await at.stop();
});

/** The operator gives a new secret, and makes the one in force the previous one. */
function supply(): void {
  const { VAULT_MASTER_KEY: old = '' } = at.variables;
  at.variables = { VAULT_MASTER_KEY: newSecret(), VAULT_MASTER_KEY_PREVIOUS: old };
}
function forgetPrevious(): void {
  const { VAULT_MASTER_KEY_PREVIOUS: _, ...rest } = at.variables;
  at.variables = rest;
}

/** As the server looks after its key, but that it waits for others half a second. */
function watchOf(database: CredentialDatabase): KeyAgeWatch {
  const watch = new KeyAgeWatch({
    database: {
      keyUse: () => database.keyUse(),
      rotateKey: (options) => database.rotateKey({ ...options, confirmWithinMs: 500 }),
    },
    rotateAfterMs: 90 * DAY_MS,
    isAutomatic: false,
    logger: at.logger,
  });
  watches.push(watch);
  return watch;
}

async function filled(): Promise<{ records: unknown; keyId: string | null }> {
  return at.using({}, async (database) => {
    await fill(database, 5);
    const { activeKeyId } = await database.status();
    return { records: await contents(database), keyId: activeKeyId };
  });
}

const PAIRS = {
  machine: () => {
    const saltPath = at.folder.join('salt');
    return { source: 'machine', parts: ['user'], iterations: 100_000, saltPath } as const;
  },
  file: () => ({ source: 'file', path: at.folder.join('half-b') }) as const,
  systemd: () => {
    writeFileSync(at.folder.join('half'), randomBytes(32).toString('hex'));
    return { source: 'systemd', credential: 'half' } as const;
  },
  'another variable': () => ({ source: 'env', variable: 'OTHER' }) as const,
} as const;

describe.each(Object.keys(PAIRS) as (keyof typeof PAIRS)[])('env and %s', (other) => {
  let records: unknown;
  let keyId: string | null;
  beforeEach(async () => {
    at.halfB = PAIRS[other]();
    Object.assign(at.variables, { CREDENTIALS_DIRECTORY: at.folder.path, OTHER: newSecret() });
    const kept = { ...at.variables };
    ({ records, keyId } = await filled());
    supply();
    at.variables = { ...kept, ...at.variables };
  });

  test('a new secret, and a restart: every record is under the new key, and the old secret can go', async () => {
    const active = await at.using({}, async (database) => {
      expect(await database.keyUse()).toMatchObject({ keyId, isSuperseded: true });
      await watchOf(database).check();
      expect(at.logger.lines).toContainEqual(
        expect.objectContaining({
          level: 'info',
          message: 'The key of the newer secret is in use',
        }),
      );
      const status = await database.status();
      expect(status).toMatchObject({
        state: 'encrypted',
        isSuperseded: false,
        inactiveKeyIds: [keyId],
      });
      expect(await contents(database)).toEqual(records);
      expect(await database.verify()).toMatchObject({ isSound: true });
      return status.activeKeyId;
    });
    expect(active).not.toBe(keyId);
    forgetPrevious();
    await at.using({}, async (database) => {
      expect(await contents(database)).toEqual(records);
      expect(await database.keyUse()).toMatchObject({ keyId: active, isSuperseded: false });
      const before = at.logger.lines.length;
      await watchOf(database).check();
      expect(at.logger.lines).toHaveLength(before);
    });
  });

  test('the old secret taken away too early: degraded, naming the key; put back, it goes on', async () => {
    const both = at.variables;
    forgetPrevious();
    const { reason, details } = await at.openDegraded();
    expect([reason, details.neededKeyId]).toEqual(['decryptionFailed', keyId]);
    at.variables = both;
    await at.using({}, async (database) => {
      await watchOf(database).check();
      expect(await contents(database)).toEqual(records);
    });
  });

  test('killed while the records are encrypted anew: the next start ends it; without the old secret it names that key', async () => {
    const stop = (step: string): Promise<void> =>
      step === 'rotate-active' ? Promise.reject(new Error('stopped')) : Promise.resolve();
    const database = await at.open({ onStep: stop });
    await expect(database.rotateKey()).rejects.toThrow('stopped');
    await database.close();
    const both = at.variables;
    forgetPrevious();
    expect((await at.openDegraded()).details.neededKeyId).toBe(keyId);
    at.variables = both;
    await at.using({}, async (next) => {
      expect(await contents(next)).toEqual(records);
      expect(await next.settled()).toBeUndefined();
      expect(await next.status()).toMatchObject({ state: 'encrypted', isSuperseded: false });
    });
  });
});

test('several servers get it one after the other: the rotation waits for the last, says for whom, and breaks none', async () => {
  at.halfB = { source: 'file', path: at.folder.join('half-b'), shared: true };
  const { records, keyId } = await filled();
  const late = await at.open();
  supply();
  const early = await at.open();
  const watch = watchOf(early);
  await watch.check();
  await watch.check();
  expect(watch.waitsBecause).toMatch(/was not confirmed by process \d+ on /);
  const { rotation } = rotationNote(await early.status(), DAY_MS, Date.now(), watch.waitsBecause);
  expect(rotation?.reason).toMatch(/^a newer secret was given .*; it waits: .* not confirmed by/);
  // Said once; one new pair, however often it is tried.
  const said = at.logger.lines.filter(({ message }) => message.includes('not in use yet'));
  expect(said).toHaveLength(1);
  expect(at.lines('B')).toHaveLength(2);
  for (const database of [early, late]) {
    // oxlint-disable-next-line no-await-in-loop -- one server after the other
    expect(await contents(database)).toEqual(records);
  }
  await late.collection('server').add({ host: 'late', password: 'x' }, { id: 'late' });
  await late.close();
  const last = await at.open();
  await watch.check();
  expect(watch.waitsBecause).toBeUndefined();
  const { activeKeyId } = await early.status();
  expect(activeKeyId).not.toBe(keyId);
  for (const database of [early, last]) {
    // oxlint-disable-next-line no-await-in-loop -- one server after the other
    expect((await database.collection('server').get('late'))?.record).toMatchObject({
      host: 'late',
    });
  }
});

test('a key of which the server writes no half is deleted once the operator took its secret away, and not before', async () => {
  at.halfB = PAIRS['another variable']();
  const OTHER = newSecret();
  at.variables = { ...at.variables, OTHER };
  const { keyId } = await filled();
  supply();
  at.variables = { ...at.variables, OTHER };
  await at.using({}, async (database) => {
    await watchOf(database).check();
    const { deletedKeys, notErased } = await database.deleteInactiveKeys();
    expect(deletedKeys).toEqual([]);
    expect(notErased.map((remnant) => [remnant.keyId, remnant.place])).toContainEqual([
      keyId,
      expect.stringMatching(/^env VAULT_MASTER_KEY/),
    ]);
    expect(database.inactiveKeyIds).toEqual([keyId]);
  });
  forgetPrevious();
  await at.using({}, async (database) => {
    expect(await database.deleteInactiveKeys()).toMatchObject({ deletedKeys: [keyId] });
    expect(database.inactiveKeyIds).toEqual([]);
  });
});

test('a secret that was replaced before is not taken again: refused, with the reason', async () => {
  at.halfB = PAIRS['another variable']();
  at.variables['OTHER'] = newSecret();
  const { OTHER } = at.variables;
  const { keyId } = await filled();
  const { VAULT_MASTER_KEY: first = '' } = at.variables;
  supply();
  at.variables['OTHER'] = OTHER;
  await at.using({}, (database) => watchOf(database).check());
  const { VAULT_MASTER_KEY: second = '' } = at.variables;
  at.variables = { VAULT_MASTER_KEY: first, VAULT_MASTER_KEY_PREVIOUS: second, OTHER };
  await at.using({}, async (database) => {
    const watch = watchOf(database);
    await watch.check();
    expect(watch.waitsBecause).toContain(`give key ${keyId}, which was replaced already`);
  });
});

test('before the first encryption the newest secret makes the key', async () => {
  at.halfB = PAIRS['another variable']();
  const OTHER = newSecret();
  supply();
  at.variables = { ...at.variables, OTHER };
  await at.using({}, async (database) => {
    expect(await database.keyUse()).toMatchObject({ isSuperseded: false });
  });
});
