/** Whatever the server accepts, from anybody and by any call, it exports, and the export imports. */
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RECORD_LIMITS } from '@vault/redis-store';
import { DatabaseConfigBackup } from '../../src/backup/config-backup.js';
import { backupDatabaseOf } from '../../src/backup/database-adapter.js';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';
import { ApiFixture } from '../api-fixture.js';
import { openTestDatabase } from '../test-database.js';
import type { TestDatabase } from '../test-database.js';
import type { RpcClient } from '../rpc-client.js';

const PASSPHRASE = 'correct horse battery';
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const { depth, values, bytes } = RECORD_LIMITS;

let source: ApiFixture;
let target: TestDatabase;
/** Ids of the users, for `$SELF` in a call. */
const ids = new Map<RpcClient, string>();
/** Administrator, writer, and somebody without any permission. */
let callers: RpcClient[];
beforeAll(async () => {
  source = await ApiFixture.start();
  target = await openTestDatabase(BUILTIN_COLLECTIONS);
  callers = [await source.signIn(), await source.userWith('write'), await source.userWith('none')];
  for (const client of callers) {
    // oxlint-disable-next-line no-await-in-loop -- three of them
    ids.set(client, (await client.call<{ id: string }>('session.getUser')).id);
  }
});
afterAll(async () => {
  await source?.stop();
  await target?.stop();
});

/** JSON text that JSON.stringify would not write: what a client may send all the same. */
const odd = fc.constantFrom(
  '-0',
  '1e400',
  '12345678901234567890123',
  '1.0000000000000000001',
  '"\\ud800"',
  '"a\\u0000b"',
  '{"__proto__":1}',
  '{"a":{"constructor":{}}}',
  '{"":1,"":2}',
  '{"a":1,"a":[2]}',
  '{"\\udfff":1}',
  '{"toString":1,"length":2,"id":3,"then":4}',
);
const text = fc.string({ unit: 'binary', maxLength: 40 }).map((value) => JSON.stringify(value));
const nested = fc
  .tuple(fc.integer({ min: depth - 2, max: depth + 2 }), fc.constantFrom('{"a":', '['))
  .map(([levels, open]) => {
    const close = open === '[' ? ']' : '}';
    return `${open.repeat(levels)}${open === '[' ? '' : 'null'}${close.repeat(levels)}`;
  });
const large = fc.oneof(
  fc
    .integer({ min: bytes - 400, max: bytes + 100 })
    .map((length) => JSON.stringify('x'.repeat(length))),
  fc.integer({ min: values - 10, max: values + 10 }).map((length) => `[${'0,'.repeat(length)}0]`),
);
const value = fc.oneof(
  { weight: 4, arbitrary: fc.jsonValue().map((each) => JSON.stringify(each)) },
  { weight: 4, arbitrary: odd },
  { weight: 4, arbitrary: text },
  { weight: 3, arbitrary: nested },
  { weight: 1, arbitrary: large },
);
const settings = fc.oneof(
  value,
  fc.tuple(text, value).map(([name, inner]) => `{${name}:${inner}}`),
);

/** A call as text: method and parameters. */
type Call = readonly [method: string, params: string];
const call: fc.Arbitrary<Call> = fc.oneof(
  settings.map((each) => ['user.set', `{"id":"$SELF","preferences":${each}}`] as const),
  fc
    .tuple(text, text)
    .map(
      ([name, id]) => ['token.create', `{"description":${name},"client":{"id":${id}}}`] as const,
    ),
  fc
    .tuple(text, value, text)
    .map(
      ([host, password, label]) =>
        [
          'server.add',
          `{"host":${host},"username":"root","password":${password},"label":${label}}`,
        ] as const,
    ),
  fc
    .tuple(text, value)
    .map(([name, each]) => ['secret.add', `{"name":${name},"value":${each}}`] as const),
  fc
    .tuple(text, value)
    .map(([name, port]) => ['database.add', `{"name":${name},"port":${port}}`] as const),
  fc
    .tuple(text, settings, fc.array(text, { maxLength: 3 }))
    .map(
      ([email, preferences, groups]) =>
        [
          'user.create',
          `{"email":${email},"preferences":${preferences},"groups":[${groups.join(',')}]}`,
        ] as const,
    ),
  fc
    .tuple(text, value)
    .map(([name, url]) => ['remote.add', `{"name":${name},"url":${url}}`] as const),
);

/** @returns whether it was accepted; fails when it was refused as something that was not foreseen */
async function isAccepted(client: RpcClient, [method, params]: Call): Promise<boolean> {
  const own = params.replace('$SELF', ids.get(client) ?? '');
  const request = `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${own}}`;
  const { error } = JSON.parse(await client.exchange(request)) as { error?: { code: number } };
  const { code = 0 } = error ?? {};
  // Not enough permissions, parameters, a name that is taken, no request (its parameters are none).
  expect([0, 2, 10, 16, -32600]).toContain(code);
  return error === undefined;
}

const backupOf = (database: TestDatabase['database']): DatabaseConfigBackup =>
  new DatabaseConfigBackup({ database: backupDatabaseOf(database), logger: SILENT });

async function contents({ database }: TestDatabase): Promise<string[]> {
  const found: string[] = [];
  for (const name of database.collections.filter((each) => each !== 'token')) {
    const collection = database.collection(name);
    let after: string | undefined = '';
    while (after !== undefined) {
      // oxlint-disable-next-line no-await-in-loop -- pages follow each other
      const page: Awaited<ReturnType<typeof collection.list>> = await collection.list({ after });
      expect(page.unreadable).toEqual([]);
      for (const { id, record } of page.records) found.push(JSON.stringify([name, id, record]));
      after = page.next;
    }
  }
  return found;
}

test('what is accepted is exported, and comes back the same', async () => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat({ max: 2 }), call), { minLength: 60, maxLength: 60 }),
      async (calls) => {
        for (const [caller, each] of calls) {
          const client = callers[caller];
          // oxlint-disable-next-line no-await-in-loop -- one call of a socket after the other
          if (client !== undefined && (await isAccepted(client, each))) accepted += 1;
        }
        const prepared = backupOf(source.store.database).export({ passphrase: PASSPHRASE });
        const file = await buffer(await prepared.open());
        const imported = await backupOf(target.database).import(Readable.from([file]), {
          passphrase: PASSPHRASE,
        });
        expect(imported.refused).toEqual({ count: 0, records: [] });
        const present = new Set(await contents(target));
        expect((await contents(source.store)).filter((record) => !present.has(record))).toEqual([]);
      },
    ),
    { numRuns: 4, endOnFailure: true },
  );
  expect(accepted).toBeGreaterThan(50);
});

test('preferences nested as deep as they may be are exported, one deeper is refused', async () => {
  const [, , stranger] = callers;
  const preferences = (levels: number): string =>
    `{"id":"$SELF","preferences":${'{"a":'.repeat(levels)}{}${'}'.repeat(levels)}}`;
  if (stranger === undefined) throw new TypeError('nobody is signed in');
  expect(await isAccepted(stranger, ['user.set', preferences(depth)])).toBe(false);
  expect(await isAccepted(stranger, ['user.set', preferences(depth - 1)])).toBe(true);
  const prepared = backupOf(source.store.database).export({ passphrase: PASSPHRASE });
  await expect(buffer(await prepared.open())).resolves.toBeInstanceOf(Buffer);
});

test('nobody fills their own record, so that it can be written no more', async () => {
  const [admin, , stranger] = callers;
  if (admin === undefined || stranger === undefined) throw new TypeError('nobody is signed in');
  const most = 16 * 1024 - '{"a":""}'.length;
  const preferences = (length: number): string =>
    `{"id":"$SELF","preferences":{"a":"${'x'.repeat(length)}"}}`;
  expect(await isAccepted(stranger, ['user.set', preferences(most + 1)])).toBe(false);
  expect(await isAccepted(stranger, ['user.set', preferences(most)])).toBe(true);
  const id = ids.get(stranger) ?? '';
  await admin.call('user.set', { id, mayReveal: true, password: 'a new long password' });
});
