/** The fields of a collection change while records hold values: the start refuses, or drops what it is told to. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CollectionDefinition } from '../src/records/collection-definition.js';
import type { CredentialDatabase } from '../src/credential-database.js';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import { DatabaseFixture } from './database-fixture.js';

const SECRET = 'MARKER-SECRET';
const BEFORE: CollectionDefinition = {
  fields: {
    service: { type: 'string' },
    port: { type: 'number' },
    note: { type: 'string' },
    key: { type: 'secret' },
  },
  indexes: {
    service: { kind: 'exact', fields: ['service'] },
    note: { kind: 'exact', fields: ['note'] },
  },
};
const RECORDS = 300;
const WITH_NOTE = 100;

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

type Fields = CollectionDefinition['fields'];
const { note: _note, ...WITHOUT_NOTE } = BEFORE.fields;
const BY_SERVICE = { service: { kind: 'exact', fields: ['service'] } } as const;

function apikey(fields: Fields, more: Partial<CollectionDefinition> = {}) {
  return { collections: { apikey: { fields, indexes: BY_SERVICE, ...more } } };
}

async function fill(encrypt: boolean): Promise<void> {
  await fixture.using({ encrypt, collections: { apikey: BEFORE } }, async (database) => {
    const keys = database.collection('apikey');
    await Promise.all(
      Array.from({ length: RECORDS }, async (_, n) =>
        keys.add(
          {
            service: `s${n % 7}`,
            port: n,
            key: `${SECRET}-${n}`,
            ...(n < WITH_NOTE ? { note: `${SECRET} note ${n}` } : {}),
          },
          { id: `id-${String(n).padStart(4, '0')}` },
        ),
      ),
    );
  });
}

async function all(database: CredentialDatabase) {
  const { records } = await database.collection('apikey').list({ limit: 1000 });
  return records;
}

const droppedFile = (): string => fixture.files().find((name) => name.startsWith('dropped-')) ?? '';

describe.each([
  ['encrypted', true],
  ['plaintext', false],
])('%s', (_, encrypt) => {
  it('is refused by collection, field and number, and nothing is changed', async () => {
    await fill(encrypt);
    const before = await fixture.dumpRecords();
    const { reason, details } = await fixture.openDegraded({ encrypt, ...apikey(WITHOUT_NOTE) });
    expect(reason).toBe('startFailed');
    expect(details.cause).toBe(
      `records do not fit the collections of the configuration: in ${WITH_NOTE} of "apikey" the field "note" is not in the configuration any more`,
    );
    expect(details.advice).toContain('dropFields = true in [collections.apikey]');
    expect(JSON.stringify(details)).not.toContain(SECRET);
    expect(await fixture.dumpRecords()).toBe(before);
    await fixture.using({ encrypt, collections: { apikey: BEFORE } }, async (database) => {
      expect(await database.verify()).toMatchObject({ isSound: true, records: RECORDS });
    });
  });

  it('drops the field with its index entries on request, once the records are in a file', async () => {
    await fill(encrypt);
    const changed = apikey(WITHOUT_NOTE, { dropFields: true });
    await fixture.using({ encrypt, ...changed }, async (database) => {
      expect(await database.verify()).toMatchObject({
        isSound: true,
        records: RECORDS,
        entries: RECORDS,
      });
      const records = await all(database);
      expect(records).toHaveLength(RECORDS);
      expect(records[5]?.record).toEqual({ service: 's5', port: 5, key: `${SECRET}-5` });
      // What `set` and an export were refused for.
      await database.collection('apikey').set('id-0001', { port: 7 });
    });
    const name = droppedFile();
    expect([name, fixture.modeOf(name)]).toEqual(['dropped-fields.json', 0o400]);
    const { records } = JSON.parse(fixture.readFile(name)) as { records: readonly object[] };
    expect(records).toHaveLength(WITH_NOTE);
    expect(fixture.readFile(name).includes(SECRET)).toBe(!encrypt);
    expect(fixture.logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        data: { fields: [`apikey.note: ${WITH_NOTE}`], backup: join(fixture.dataDir, name) },
      }),
    );
    // Once: the next start looks at nothing, and makes no second file.
    await fixture.using({ encrypt, ...changed }, () => Promise.resolve());
    expect(fixture.files().filter((file) => file.startsWith('dropped-'))).toEqual([name]);
  });

  it('is refused for another type, and drops the values that do not fit', async () => {
    await fill(encrypt);
    const fields: Fields = { ...BEFORE.fields, port: { type: 'string' } };
    const { details } = await fixture.openDegraded({ encrypt, ...apikey(fields) });
    expect(details.cause).toContain(`in ${RECORDS} of "apikey" the field "port" has another type`);
    await fixture.using({ encrypt, ...apikey(fields, { dropFields: true }) }, async (database) => {
      expect((await all(database)).every(({ record }) => record['port'] === undefined)).toBe(true);
      expect(await database.verify()).toMatchObject({ isSound: true });
      await database.collection('apikey').set('id-0001', { port: 'seven' });
    });
  });

  it('cannot drop what is required', async () => {
    await fill(encrypt);
    const fields: Fields = { ...BEFORE.fields, note: { type: 'string', optional: false } };
    const { details } = await fixture.openDegraded({
      encrypt,
      ...apikey(fields, { dropFields: true }),
    });
    expect(details.cause).toContain(
      `in ${RECORDS - WITH_NOTE} of "apikey" the field "note" is required there`,
    );
  });

  it.each(['fields-backed-up', 'fields-batch', 'fields-dropped'])(
    'stopped at %s: no value is lost, and the next start drops the rest',
    async (at) => {
      await fill(encrypt);
      const changed = { encrypt, ...apikey(WITHOUT_NOTE, { dropFields: true }) };
      const stopped = await fixture.openDegraded({
        ...changed,
        onStep: (step) => (step === at ? Promise.reject(new Error('stopped')) : Promise.resolve()),
      });
      expect(stopped).toMatchObject({ reason: 'startFailed', details: { cause: 'stopped' } });
      await fixture.using(changed, async (database) => {
        expect(await database.verify()).toMatchObject({ isSound: true, records: RECORDS });
        expect((await all(database)).every(({ record }) => !('note' in record))).toBe(true);
      });
      const kept = fixture
        .files()
        .filter((name) => name.startsWith('dropped-'))
        .flatMap(
          (name) => (JSON.parse(fixture.readFile(name)) as { records: { id: string }[] }).records,
        );
      expect(new Set(kept.map(({ id }) => id)).size).toBe(WITH_NOTE);
      expect(fixture.files()).not.toContainEqual(expect.stringMatching(/\.tmp-/));
    },
  );
});

it('the keys of values that were dropped outlive a decryption, as long as their file is there', async () => {
  await fill(true);
  const changed = apikey(WITHOUT_NOTE, { dropFields: true });
  await fixture.using(changed, () => Promise.resolve());
  const file = join(fixture.dataDir, droppedFile());
  await fixture.using({ encrypt: false, ...changed }, async (database) => {
    const { state, keptKeysBecause, inactiveKeyIds } = await database.status();
    expect([state, inactiveKeyIds]).toEqual(['plaintext', [expect.any(String)]]);
    expect(keptKeysBecause).toContain(file);
    await expect(database.deleteInactiveKeys()).rejects.toThrow(file);
    expect((await fixture.custody.load()).ring.ids).toEqual(inactiveKeyIds);
    rmSync(file);
    expect((await database.deleteInactiveKeys()).deletedKeys).toEqual(inactiveKeyIds);
    expect((await fixture.custody.load()).ring.ids).toEqual([]);
  });
});

describe('a tool beside a server that refused the fields of the configuration', () => {
  it('says where the reason is, and changes nothing', async () => {
    await fill(true);
    const error = await fixture.openDegraded({ role: 'tool', ...apikey(WITHOUT_NOTE) });
    expect(error.details.advice).toBe(
      'start the server with this configuration first; where it is degraded, its log says what does not fit',
    );
  });
});

describe('what no record contradicts passes', () => {
  it('a field is removed that no record holds, and one is new', async () => {
    await fill(true);
    const more: Fields = { ...BEFORE.fields, unused: { type: 'number' } };
    await fixture.using(apikey(more), () => Promise.resolve());
    await fixture.using(apikey(BEFORE.fields), () => Promise.resolve());
    expect(droppedFile()).toBe('');
  });

  it('a secret becomes clear, with a warning, and secret again', async () => {
    await fill(true);
    const clear: Fields = { ...BEFORE.fields, key: { type: 'string' } };
    await fixture.using(apikey(clear), () => Promise.resolve());
    expect(fixture.logger.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', data: { fields: ['apikey.key'] } }),
    );
    fixture.logger.lines.length = 0;
    await fixture.using(apikey(BEFORE.fields), async (database) => {
      expect((await all(database))[0]?.record['key']).toBe(`${SECRET}-0`);
    });
    expect(JSON.stringify(fixture.logger.lines)).not.toContain('apikey.key');
  });

  it('a secret that holds an object does not become a text', async () => {
    await fixture.using({ collections: { apikey: BEFORE } }, async (database) => {
      await database.collection('apikey').add({ key: { user: 'u', password: SECRET } });
    });
    const clear: Fields = { ...BEFORE.fields, key: { type: 'string' } };
    const { details } = await fixture.openDegraded(apikey(clear));
    expect(details.cause).toContain('in 1 of "apikey" the field "key" has another type');
  });

  it('a start with the same fields reads no record', async () => {
    await fill(true);
    const proxy = await TcpProxy.start({ target: { path: fixture.redis.socketPath ?? '' } });
    const commands: string[] = [];
    proxy.intercept = ({ direction, command, frame }) => {
      if (direction === 'request') commands.push(`${command} ${frame.toString('latin1')}`);
      return 'pass';
    };
    const redis = { url: proxy.url };
    await fixture.using({ redis, collections: { apikey: BEFORE } }, () => Promise.resolve());
    await proxy.stop();
    expect(commands.length).toBeGreaterThan(3);
    expect(commands.filter((text) => text.includes(':r:'))).toEqual([]);
  });
});

describe('beside other processes', () => {
  it('one that would go on writing a field that is gone is degraded', async () => {
    await fixture.using({ collections: { apikey: BEFORE } }, () => Promise.resolve());
    let why: unknown;
    const database = await fixture.open({
      collections: { apikey: BEFORE },
      onDegraded: (error) => {
        why = error.details.cause;
      },
    });
    await fixture.using(apikey(WITHOUT_NOTE), () => Promise.resolve());
    const adding = database.collection('apikey').add({ service: 's', note: 'n' });
    await expect(adding).rejects.toMatchObject({ code: 'DATABASE_DEGRADED' });
    expect(why).toBe('another process changed the collections of the database');
  });

  it('one that writes such a field while it is dropped loses no value', async () => {
    await fill(false);
    const old = await fixture.open({ encrypt: false, collections: { apikey: BEFORE } });
    const late = { service: 's', port: 1, key: 'k', note: 'LATE-NOTE' };
    let isWritten = false;
    await fixture.open({
      encrypt: false,
      ...apikey(WITHOUT_NOTE, { dropFields: true }),
      onStep: async (step) => {
        if (step !== 'fields-backed-up' || isWritten) return;
        isWritten = true;
        await old.collection('apikey').add(late, { id: 'late' });
      },
    });
    const files = fixture.files().filter((name) => name.startsWith('dropped-'));
    expect(files.map((name) => fixture.readFile(name)).join('')).toContain('LATE-NOTE');
  });

  it('one that knows a new field not yet goes on', async () => {
    const database = await fixture.open(apikey(WITHOUT_NOTE));
    const more: Fields = { ...WITHOUT_NOTE, extra: { type: 'string' } };
    await fixture.using(apikey(more), () => Promise.resolve());
    await database.collection('apikey').add({ service: 's' });
    expect(await database.collection('apikey').count()).toBe(1);
  });

  it('a seal that was lost is looked at anew', async () => {
    await fill(true);
    await fixture.client.del('vault:{meta}:seal');
    const { details } = await fixture.openDegraded({
      collections: { apikey: { ...BEFORE, fields: WITHOUT_NOTE_BUT_INDEXED } },
    });
    expect(details.cause).toContain(`in ${RECORDS} of "apikey" the field "port"`);
  });
});

/** The same indexes: witness and fences agree on them. */
const { port: _port, ...WITHOUT_NOTE_BUT_INDEXED } = BEFORE.fields;
