import { afterEach, describe, expect, test } from '@jest/globals';
import { RecordUnreadableError } from '../src/errors.js';
import type { Page } from '../src/collections/collection.js';
import type { Stored } from '../src/collections/collection-reader.js';
import type { JsonValue } from '../src/records/json-record.js';
import type { VaultKey } from '@vault/crypto';
import { formOf, newKey, openStore, SERVER, viewOf } from './store-fixture.js';
import type { StoreFixture } from './store-fixture.js';

let open: StoreFixture[] = [];
/** @param form `plaintext`, or a key */
async function store(
  form: VaultKey | 'plaintext' = newKey(),
  definition = SERVER,
): Promise<StoreFixture> {
  const fixture = await openStore(form === 'plaintext' ? undefined : form, definition);
  open.push(fixture);
  return fixture;
}
afterEach(async () => {
  await Promise.all(open.map((fixture) => fixture.stop()));
  open = [];
});

const XCP = {
  host: 'xcp-1.example.org',
  username: 'Root',
  password: 'marker-secret-1',
  email: 'ops@Example.org',
};

/** Every key and value of the database, to look for what must not be there. */
async function dump(fixture: StoreFixture): Promise<string> {
  const client = fixture.redis.client();
  const parts: string[] = [];
  for (const key of await client.keys('*')) {
    const type = await client.type(key);
    const value =
      type === 'string'
        ? (await client.getBuffer(key))?.toString('latin1')
        : type === 'set'
          ? (await client.smembers(key)).join()
          : (await client.zrange(key, '0', '-1')).join();
    parts.push(key, value ?? '');
  }
  return parts.join('\n');
}

const ids = (records: readonly Stored[]): string[] => records.map(({ id }) => id);

describe.each([
  ['encrypted', () => newKey()],
  ['plaintext', () => undefined],
])('a collection of a database in state %s', (_state, key) => {
  async function fixture(): Promise<StoreFixture> {
    const made = await openStore(key());
    open.push(made);
    return made;
  }

  test('gives a record back as it was added, by id and by every index', async () => {
    const { servers } = await fixture();
    const id = await servers.add({ ...XCP, port: 443, enabled: true, tags: { a: ['x'] } });
    expect((await servers.get(id))?.record).toEqual({
      ...XCP,
      port: 443,
      enabled: true,
      tags: { a: ['x'] },
    });
    expect(ids(await servers.find({ host: 'XCP-1.example.ORG' }))).toEqual([id]);
    expect(ids(await servers.find({ username: 'root' }))).toEqual([id]);
    expect(ids(await servers.find({ host: 'xcp-1.example.org', username: 'ROOT' }))).toEqual([id]);
    expect(ids(await servers.find({ emailDomain: 'example.ORG' }))).toEqual([id]);
    expect(ids(await servers.find({ username: 'root', enabled: false }))).toEqual([]);
    expect(ids(await servers.find({ port: 443 }))).toEqual([id]);
    expect(ids(await servers.find({ tags: { a: ['x'] } }))).toEqual([id]);
    expect(await servers.get('absent')).toBeUndefined();
    expect(await servers.count()).toBe(1);
  });

  test('of two that remove a record at once, one is told that it did', async () => {
    const { servers } = await fixture();
    const id = await servers.add({ ...XCP });
    const told = await Promise.all([servers.remove(id), servers.remove(id)]);
    expect(told.toSorted()).toEqual([false, true]);
  });

  test('moves a record to its new index entries when it changes, and out of all when it is removed', async () => {
    const made = await fixture();
    const { servers } = made;
    const id = await servers.add(XCP);
    await servers.set(id, { host: 'xcp-2.example.org', email: undefined });
    expect(await servers.find({ host: XCP.host })).toEqual([]);
    expect(await servers.find({ emailDomain: 'example.org' })).toEqual([]);
    expect(ids(await servers.find({ host: 'xcp-2.example.org' }))).toEqual([id]);
    expect((await servers.get(id))?.record).toEqual({
      host: 'xcp-2.example.org',
      username: 'Root',
      password: 'marker-secret-1',
    });
    expect(await servers.remove(id)).toBe(true);
    expect(await servers.remove(id)).toBe(false);
    expect((await made.redis.client().keys('*')).toSorted()).toEqual(['vault:{server}:meta']);
  });

  test('refuses a second record with the same unique value, at add and at set, and names the holder', async () => {
    const { servers } = await fixture();
    const first = await servers.add(XCP);
    const again = servers.add({ ...XCP, host: 'XCP-1.EXAMPLE.ORG' });
    await expect(again).rejects.toMatchObject({
      code: 'UNIQUE_CONFLICT',
      index: 'host',
      holderId: first,
    });
    await expect(again).rejects.not.toThrow(/xcp/i);
    const second = await servers.add({ host: 'other' });
    await expect(servers.set(second, { host: XCP.host })).rejects.toMatchObject({
      code: 'UNIQUE_CONFLICT',
    });
    expect((await servers.get(second))?.record).toEqual({ host: 'other' });
    expect(await servers.count()).toBe(2);
  });

  test('loses no update of forty writers of one record', async () => {
    const { servers } = await fixture();
    const id = await servers.add({ host: 'h', port: 0 });
    await Promise.all(
      Array.from({ length: 40 }, () =>
        servers.update(id, (record) => ({ ...record, port: Number(record['port']) + 1 })),
      ),
    );
    expect((await servers.get(id))?.record['port']).toBe(40);
  });

  test('makes a write conditional on a revision', async () => {
    const { servers } = await fixture();
    const id = await servers.add(XCP);
    const { revision } = (await servers.get(id)) as Stored;
    await servers.set(id, { label: 'a' });
    await expect(servers.set(id, { label: 'b' }, { revision })).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
    await expect(servers.remove(id, { revision })).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
    expect((await servers.get(id))?.record['label']).toBe('a');
  });

  test('lists by pages in the order of ids, and finds more than fit one script call', async () => {
    const { servers } = await fixture();
    const added = await Promise.all(
      Array.from({ length: 700 }, (_, i) =>
        servers.add({ host: `h${i}`, username: i % 2 === 0 ? 'even' : 'odd' }),
      ),
    );
    const seen: string[] = [];
    let after: string | undefined = '';
    while (after !== undefined) {
      const page: Page = await servers.list({
        after,
        limit: 100,
      });
      seen.push(...ids(page.records));
      after = page.next;
    }
    expect(seen).toEqual(added.toSorted());
    expect(ids(await servers.find({ username: 'EVEN' }))).toHaveLength(350);
    const first = await servers.find({ username: 'odd' }, { limit: 10 });
    const rest = await servers.find(
      { username: 'odd' },
      { after: first.at(-1)?.id ?? '', limit: 5 },
    );
    expect(ids([...first, ...rest])).toEqual(
      ids(await servers.find({ username: 'odd' })).slice(0, 15),
    );
  });

  test('reads more records than one command takes, each in the place of its id', async () => {
    const { servers } = await fixture();
    const added = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => servers.add({ ...XCP, host: `xcp-${n}` })),
    );
    const asked = [...added.slice(150), 'absent', ...added.slice(0, 150), added[7] ?? ''];
    const read = await servers.getMany(asked);
    expect(read.map((item) => (item as Stored | undefined)?.id ?? 'absent')).toEqual(asked);
    expect(await servers.getMany([])).toEqual([]);
  });

  test('refuses records and queries that do not fit the definition, and says which field', async () => {
    const { servers } = await fixture();
    await expect(servers.add({ username: 'x' })).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      field: 'host',
    });
    await expect(servers.add({ host: 1 })).rejects.toMatchObject({ field: 'host' });
    await expect(servers.add({ host: 'h', nope: 1 })).rejects.toMatchObject({ field: 'nope' });
    await expect(servers.add({ host: 'h', port: Infinity })).rejects.toMatchObject({
      field: 'port',
    });
    await expect(
      servers.add({ host: 'h', tags: JSON.parse('{"__proto__": 1}') as JsonValue }),
    ).rejects.toMatchObject({ field: 'tags' });
    for (const id of ['a b', '', 'x'.repeat(129), '__proto__', 'constructor', 'prototype']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is as good
      await expect(servers.add({ host: 'h' }, { id })).rejects.toMatchObject({
        code: 'RECORD_INVALID',
        field: 'id',
      });
    }
    await expect(servers.find({ password: 'x' })).rejects.toMatchObject({ code: 'QUERY_INVALID' });
    await expect(servers.find({ nope: 'x' })).rejects.toMatchObject({ code: 'QUERY_INVALID' });
    await expect(servers.list({ limit: 0 })).rejects.toMatchObject({ code: 'QUERY_INVALID' });
    await expect(servers.set('absent', { label: 'x' })).rejects.toMatchObject({
      code: 'RECORD_NOT_FOUND',
    });
    expect(await servers.count()).toBe(0);
  });

  test('refuses an id that is there already, and keeps what it holds', async () => {
    const { servers } = await fixture();
    await servers.add(XCP, { id: 'mine' });
    await expect(servers.add({ host: 'other' }, { id: 'mine' })).rejects.toMatchObject({
      code: 'RECORD_EXISTS',
    });
    expect((await servers.get('mine'))?.record).toEqual(XCP);
  });

  test('writes nothing when the fence is not the one it holds, and goes on after a reload that explains it', async () => {
    const made = await fixture();
    const { servers, views } = made;
    const moved = { ...views.view, epoch: 2 };
    await made.raiseFences(moved);
    await expect(servers.add(XCP)).rejects.toMatchObject({ code: 'STATE_STALE' });
    await expect(servers.find({ host: XCP.host })).rejects.toMatchObject({ code: 'STATE_STALE' });
    expect(await servers.count()).toBe(0);
    views.next = moved;
    const id = await servers.add(XCP);
    expect(ids(await servers.find({ host: XCP.host }))).toEqual([id]);
  });

  test('says which key holds another type, and has written nothing', async () => {
    const made = await fixture();
    await made.redis.client().set('vault:{server}:ids', 'planted');
    await expect(made.servers.add(XCP)).rejects.toMatchObject({
      code: 'REDIS_REFUSED',
      reply: 'WRONGTYPE',
    });
    expect((await made.redis.client().keys('*')).toSorted()).toEqual([
      'vault:{server}:ids',
      'vault:{server}:meta',
    ]);
  });
});

describe('an encrypted collection', () => {
  test('leaves no value in any key or value of Redis', async () => {
    const made = await store();
    await made.servers.add({ ...XCP, label: 'marker-label', tags: ['marker-tag'] });
    const all = await dump(made);
    expect(all).not.toMatch(/marker|xcp-1|example|root/i);
    expect(all).toMatch(/vault:\{server\}:u:host:[\w-]{22}/);
  });

  test('does not open a record moved to another id, and reports it without a reason to the caller', async () => {
    const made = await store();
    const client = made.redis.client();
    const [a, b] = [await made.servers.add(XCP), await made.servers.add({ host: 'b' })];
    const stored = await client.getBuffer(`vault:{server}:r:${a}`);
    await client.set(`vault:{server}:r:${b}`, stored ?? '');
    const failure = await made.servers.get(b).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RecordUnreadableError);
    expect(String(failure)).not.toContain('tampered');
    const page = await made.servers.list();
    expect(ids(page.records)).toEqual([a]);
    expect(page.unreadable.map(({ id, reason }) => [id, reason])).toEqual([[b, 'tampered']]);
  });

  test('does not accept a planted plaintext record', async () => {
    const made = await store();
    const client = made.redis.client();
    await client.set('vault:{server}:r:evil', JSON.stringify({ host: 'evil' }));
    await client.zadd('vault:{server}:ids', 0, 'evil');
    await expect(made.servers.get('evil')).rejects.toMatchObject({
      code: 'RECORD_UNREADABLE',
      reason: 'plaintext',
    });
    expect(made.views.reloads).toBe(1);
  });

  test('drops and reports an index entry that points at another record', async () => {
    const made = await store();
    const client = made.redis.client();
    const admin = await made.servers.add({ host: 'a', username: 'admin' });
    await made.servers.add({ host: 'b', username: 'mallory' });
    const entries = await client.keys('vault:{server}:i:username:*');
    expect(entries).toHaveLength(2);
    await Promise.all(entries.map(async (key) => client.sadd(key, admin)));
    const found = await made.servers.find({ username: 'mallory' });
    expect(found.map(({ record }) => record['username'])).toEqual(['mallory']);
    expect(made.logger.lines.filter(({ level }) => level === 'error')).toEqual([
      expect.objectContaining({ data: { collection: 'server', id: admin, index: 'username' } }),
    ]);
  });

  test('finds a record that is too long for a call of many, by a unique value too', async () => {
    const made = await store(newKey(), { ...SERVER, paddingBytes: 65_536 });
    const id = await made.servers.add({ host: 'long', password: 'x'.repeat(1_000_000) });
    expect(ids(await made.servers.find({ host: 'long' }))).toEqual([id]);
  });

  test('pads records to one length where the definition says so', async () => {
    const made = await store(newKey(), { ...SERVER, paddingBytes: 256 });
    const client = made.redis.client();
    const a = await made.servers.add({ host: 'a', password: 'x' });
    const b = await made.servers.add({ host: 'b', password: 'x'.repeat(60) });
    expect(await client.strlen(`vault:{server}:r:${a}`)).toBe(
      await client.strlen(`vault:{server}:r:${b}`),
    );
    expect((await made.servers.get(b))?.record).toEqual({ host: 'b', password: 'x'.repeat(60) });
  });
});

describe.each([
  ['a key gives way to another', () => [newKey(), newKey()], 'rekeying'],
  ['plaintext is encrypted', () => [undefined, newKey()], 'encrypting'],
  ['envelopes are decrypted', () => [newKey(), undefined], 'decrypting'],
] as const)('while all records are rewritten and %s', (_what, makeKeys, state) => {
  function rewriting(
    from: VaultKey | undefined,
    to: VaultKey | undefined,
  ): ReturnType<typeof viewOf> {
    const signingKey = to ?? from;
    return viewOf(to, SERVER, { epoch: 2, state, signingKey, before: formOf(from, SERVER) });
  }

  test('records of both forms are read and found, and writes use the new one', async () => {
    const [from, to] = makeKeys();
    const made = await store(from ?? 'plaintext');
    const a = await made.servers.add(XCP);
    const view = rewriting(from, to);
    await made.raiseFences(view);
    made.views.next = view;
    const b = await made.servers.add({ host: 'b', username: 'root' });
    expect(ids(await made.servers.find({ username: 'root' }))).toEqual([a, b].toSorted());
    await made.servers.set(a, { label: 'moved' });
    expect(ids(await made.servers.find({ host: XCP.host }))).toEqual([a]);
    const rest = viewOf(to, SERVER, { epoch: 3 });
    await made.raiseFences(rest);
    made.views.next = rest;
    expect(ids(await made.servers.find({ username: 'root' }))).toEqual([a, b].toSorted());
    expect((await made.servers.get(a))?.record['label']).toBe('moved');
  });

  test('a search step by step looks in the form of before first, from which records only go away', async () => {
    const [from, to] = makeKeys();
    const made = await store(from ?? 'plaintext');
    await Promise.all(
      Array.from({ length: 300 }, (_, n) => made.servers.add({ host: `h${n}`, username: 'root' })),
    );
    const [entryBefore] = await made.redis.client().keys('vault:{server}:i:username:*');
    const view = rewriting(from, to);
    await made.raiseFences(view);
    made.views.next = view;
    await made.servers.add({ host: 'new', username: 'root' });
    const monitor = await made.redis.client().monitor();
    const scanned: string[] = [];
    monitor.on('monitor', (_time: string, [command, key]: string[]) => {
      if (command?.toUpperCase() === 'SSCAN') scanned.push(key ?? '');
    });
    expect(await made.servers.find({ username: 'root' })).toHaveLength(301);
    await made.redis.client().ping();
    monitor.disconnect();
    expect(scanned[0]).toBe(entryBefore);
    expect(new Set(scanned).size).toBe(2);
  });

  test('a unique value stays unique across the two forms', async () => {
    const [from, to] = makeKeys();
    const made = await store(from ?? 'plaintext');
    const a = await made.servers.add(XCP);
    const view = rewriting(from, to);
    await made.raiseFences(view);
    made.views.next = view;
    await expect(made.servers.add({ ...XCP })).rejects.toMatchObject({
      code: 'UNIQUE_CONFLICT',
      holderId: a,
    });
  });
});

test('a collection of 16 partitions spreads records, and lists, finds and counts over all', async () => {
  const { host: _unique, ...indexes } = SERVER.indexes;
  const made = await store(newKey(), { ...SERVER, indexes, partitions: 16 });
  const added = await Promise.all(
    Array.from({ length: 200 }, (_, i) => made.servers.add({ host: `h${i}`, username: 'u' })),
  );
  expect(await made.servers.count()).toBe(200);
  expect(new Set((await made.redis.client().keys('vault:{server.*}:ids')).map(String)).size).toBe(
    16,
  );
  expect(ids(await made.servers.find({ username: 'u' }))).toEqual(added.toSorted());
  expect(ids((await made.servers.list({ limit: 50 })).records)).toEqual(
    added.toSorted().slice(0, 50),
  );
  const read = await made.servers.getMany([added[3] ?? '', 'absent', added[150] ?? '']);
  expect(read.map((item) => (item as Stored | undefined)?.id)).toEqual([
    added[3],
    undefined,
    added[150],
  ]);
});
