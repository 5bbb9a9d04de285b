import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { FieldDefinition } from '@vault/redis-store';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';
import { SECRET_MASK } from '../../src/protocol.js';
import { ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

let fixture: ApiFixture;
let admin: RpcClient;
let writer: RpcClient;
beforeAll(async () => {
  fixture = await ApiFixture.start();
  admin = await fixture.signIn();
  writer = await fixture.userWith('write');
});
afterAll(async () => fixture?.stop());

const refusal = (...fields: string[]) => ({
  code: 5,
  data: { operation: expect.any(String), fields },
});

async function added(collection: string, record: object): Promise<string> {
  return admin.call<string>(`${collection}.add`, record);
}

test.each([
  [
    'server',
    { host: 'a.example.org', username: 'u', password: 's' },
    { host: 'evil' },
    ['password'],
  ],
  [
    'server',
    { host: 'b.example.org', username: 'u', password: 's' },
    { allowUnauthorized: true },
    ['password'],
  ],
  [
    'server',
    { host: 'c.example.org', username: 'u', password: 's' },
    { httpProxy: 'http://evil' },
    ['password'],
  ],
  ['remote', { name: 'r', url: 'smb://u:p@nas', options: 'x' }, { url: 'smb://evil' }, ['options']],
  ['remote', { name: 's', url: 'smb://u:p@nas' }, { proxy: 'evil' }, ['url']],
  ['remote', { name: 't', url: 's3://u:p@s3' }, { options: 'endpoint=evil' }, ['url']],
  [
    'directory',
    { name: 'd', type: 'ldap', url: 'ldaps://d', bindPassword: 's' },
    { url: 'ldap://evil' },
    ['bindPassword'],
  ],
  [
    'directory',
    { name: 'e', type: 'crowd', url: 'https://d', applicationPassword: 's' },
    { type: 'ldap' },
    ['applicationPassword'],
  ],
  [
    'directory',
    { name: 'f', type: 'entra', tenantId: 'ours', clientSecret: 's' },
    { tenantId: 'theirs' },
    ['clientSecret'],
  ],
  ['mail', { name: 'm', host: 'm', password: 's' }, { port: 25 }, ['password']],
  ['mail', { name: 'n', host: 'm', secure: true, password: 's' }, { secure: null }, ['password']],
  [
    'proxy',
    { name: 'p', address: 'p', authenticationToken: 's' },
    { address: 'evil' },
    ['authenticationToken'],
  ],
  [
    'database',
    { name: 'dbn', host: 'h', databaseName: 'd', password: 's' },
    { databaseName: 'host=evil' },
    ['password'],
  ],
  [
    'database',
    { name: 'b', host: 'h', password: 's', connectionString: 't' },
    { host: 'evil' },
    ['password', 'connectionString'],
  ],
  [
    'database',
    { name: 'c', engine: 'postgresql', host: 'h', password: 's' },
    { connectionString: 'postgresql://evil' },
    ['password'],
  ],
  [
    'database',
    { name: 'd', engine: 'postgresql', host: 'h', password: 's' },
    { engine: 'mysql' },
    ['password'],
  ],
])(
  'who may not reveal does not send the secrets of a %s %j elsewhere: %j',
  async (collection, record, change, fields) => {
    const id = await added(collection, record);
    const set = (more: object) => writer.call(`${collection}.set`, { id, ...change, ...more });
    await expect(set({})).rejects.toMatchObject(refusal(...fields));
    // The mask is no secret.
    const masks = Object.fromEntries(fields.map((name) => [name, SECRET_MASK]));
    await expect(set(masks)).rejects.toMatchObject(refusal(...fields));
    expect(await admin.call(`${collection}.reveal`, { id })).toMatchObject(record);
    const again = Object.fromEntries(fields.map((name) => [name, 'sent again']));
    expect(await set(again)).toBe(true);
  },
);

test('of each built-in collection the fields that say where, or how safely, secrets are sent', () => {
  const destinations = Object.entries(BUILTIN_COLLECTIONS).flatMap(([collection, { fields }]) =>
    Object.entries<FieldDefinition>(fields)
      .filter(([, { destination }]) => destination === true)
      .map(([name]) => `${collection}.${name}`),
  );
  expect(destinations).toEqual([
    'server.host',
    'server.httpProxy',
    'server.allowUnauthorized',
    'remote.url',
    'remote.options',
    'remote.proxy',
    'directory.type',
    'directory.url',
    'directory.tenantId',
    'mail.host',
    'mail.port',
    'mail.secure',
    'proxy.address',
    'saml.entryPoint',
    'database.engine',
    'database.host',
    'database.port',
    'database.databaseName',
    'database.connectionString',
  ]);
});

test('what is sent as it was, or says nothing of where, is no change of the destination', async () => {
  const id = await added('server', { host: 'same.example.org', username: 'u', password: 's' });
  const change = { host: 'same.example.org', label: 'l', username: 'v' };
  expect(await writer.call('server.set', { id, ...change })).toBe(true);
});

test('a secret destination is never compared: the answer would tell a right guess', async () => {
  const record = { name: 'guess', url: 'smb://u:p@nas', options: 'x' };
  const id = await added('remote', record);
  const guess = writer.call('remote.set', { id, url: record.url });
  await expect(guess).rejects.toMatchObject(refusal('options'));
});

test('a record without a stored secret goes where anybody who may write says', async () => {
  const id = await added('database', { name: 'empty', host: 'h' });
  expect(await writer.call('database.set', { id, host: 'elsewhere' })).toBe(true);
});

test('who may reveal is not held up; a token that may not, is', async () => {
  const id = await added('server', { host: 'free.example.org', username: 'u', password: 's' });
  const revealer = await fixture.userWith('write', { mayReveal: true });
  expect(await revealer.call('server.set', { id, host: 'free2.example.org' })).toBe(true);
  const scope = { collections: ['server'] };
  const token = await admin.call<string>('token.create', { scope });
  const scoped = await fixture.signIn({ token });
  const change = scoped.call('server.set', { id, host: 'evil' });
  await expect(change).rejects.toMatchObject(refusal('password'));
});
