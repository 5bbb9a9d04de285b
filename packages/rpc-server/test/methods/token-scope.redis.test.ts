import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JsonObject, TokenInfo } from '../../src/protocol.js';
import { ADMIN, ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

const SERVER = { host: 'scope.example.org', username: 'root', password: 'MARKER-SECRET' };
const OUTSIDE = { code: 2, data: { permission: 'scope', object: { reason: expect.any(String) } } };

let fixture: ApiFixture;
let admin: RpcClient;
let id: string;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { throttlingDelayMs: 0 } });
  admin = await fixture.signIn();
  id = await admin.call<string>('server.add', SERVER);
  await admin.call('remote.add', { name: 'nas', url: 'smb://nas' });
});
afterAll(async () => fixture?.stop());

async function signedInWith(scope: object | undefined, more: object = {}): Promise<RpcClient> {
  const token = await admin.call<string>('token.create', { ...(scope && { scope }), ...more });
  return fixture.signIn({ token });
}

test('a read-only token changes nothing, and reveals only where that is said', async () => {
  const reader = await signedInWith({ readOnly: true });
  expect(await reader.call('server.get', { id })).toMatchObject({ host: SERVER.host });
  for (const [name, params] of [
    ['server.set', { id, label: 'x' }],
    ['server.reveal', { id }],
    ['system.exportConfig', { passphrase: 'twelve characters' }],
    ['user.create', { email: 'x', permission: 'admin' }],
    ['encryption.rotateKeys', {}],
    ['token.create', {}],
  ] as const) {
    await expect(reader.call(name, params)).rejects.toMatchObject(OUTSIDE);
  }
  const revealer = await signedInWith({ readOnly: true, mayReveal: true });
  expect(await revealer.call('server.reveal', { id })).toMatchObject(SERVER);
});

test('mayReveal gives nobody more than the user has', async () => {
  const user = await fixture.userWith('read');
  const token = await user.call<string>('token.create', { scope: { mayReveal: true } });
  const client = await fixture.signIn({ token });
  await expect(client.call('server.reveal', { id })).rejects.toMatchObject({ code: 2 });
});

test('a token whose scope withholds secrets or tokens makes no user that has them', async () => {
  const other = await fixture.userWith('none');
  const password = 'chosen by a thief';
  const grants = [
    ['user.create', { email: 'thief', password, permission: 'admin' }],
    ['user.set', { id: other.userId, password, mayReveal: true }],
    ['system.importConfig', { allowUnprotected: true }],
  ] as const;
  for (const scope of [{}, { methods: ['*.*'], mayReveal: true }, { mayCreateTokens: true }]) {
    const thief = await signedInWith(scope);
    for (const [name, params] of grants) {
      await expect(thief.call(name, params)).rejects.toMatchObject(OUTSIDE);
    }
    const { id: own } = await thief.call<{ id: string }>('session.getUser');
    expect(await thief.call('user.set', { id: own, preferences: {} })).toBe(true);
  }
  const trusted = await signedInWith({ mayReveal: true, mayCreateTokens: true });
  const made = await trusted.call('user.create', { email: 'made', permission: 'read' });
  expect(made).toEqual(expect.any(String));
});

test('a token of one collection sees no other, in no way', async () => {
  const client = await signedInWith({ collections: ['server'] });
  const objects = await client.call<JsonObject>('xo.getAllObjects', {});
  expect(Object.keys(objects)).toEqual([id]);
  for (const name of ['remote.getAll', 'user.getAll', 'token.getAll', 'encryption.getStatus']) {
    await expect(client.call(name, {})).rejects.toMatchObject(OUTSIDE);
  }
  const { $getFrom } = await client.call<{ $getFrom: string }>('xo.getAllObjects', {
    ndjson: true,
  });
  const text = await (await fetch(new URL($getFrom, fixture.url))).text();
  expect(text.trim().split('\n')).toHaveLength(1);
});

test('a token of one collection is not told of changes in another', async () => {
  const client = await signedInWith({ collections: ['server'] });
  await admin.call('remote.add', { name: 'unseen', url: 'smb://unseen' });
  await admin.call('server.set', { id, label: 'seen' });
  const [first] = await client.notified(1);
  expect(first?.params).toMatchObject({ type: 'enter', items: { [id]: { label: 'seen' } } });
  expect(JSON.stringify(first)).not.toContain('unseen');
});

test('the scope counts over HTTP too', async () => {
  const inactive = async (scope: object): Promise<number> => {
    const token = await admin.call<string>('token.create', { scope });
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${fixture.url}/rest/secrets/1.0/keys/inactive`, { headers })).status;
  };
  expect(await inactive({ methods: ['encryption.*'] })).toBe(200);
  expect(await inactive({ methods: ['server.*'] })).toBe(401);
});

test.each([
  [{ methods: ['servers.get'] }, '/scope/methods'],
  [{ methods: ['no pattern'] }, '/scope/methods/0'],
  [{ collections: ['servers'] }, '/scope/collections'],
  [{ readonly: true }, '/scope'],
])('a scope with a mistake is refused: %j', async (scope, instancePath) => {
  await expect(admin.call('token.create', { scope })).rejects.toMatchObject({
    code: 10,
    data: { errors: [{ instancePath }] },
  });
});

describe('a token creates tokens', () => {
  test('only where it is said', async () => {
    for (const scope of [undefined, { mayReveal: true }]) {
      const client = await signedInWith(scope, { expiresIn: '1 min' });
      const long = client.call('token.create', { expiresIn: '180 days' });
      await expect(long).rejects.toMatchObject(OUTSIDE);
      await expect(client.call('token.create', {})).rejects.toMatchObject(OUTSIDE);
    }
  });

  test('that live no longer than it, and may no more', async () => {
    const scope = { mayCreateTokens: true, readOnly: true };
    const parent = await signedInWith(scope, { expiresIn: '1 hour', description: 'parent' });
    const long = parent.call('token.create', { expiresIn: '2 hours' });
    await expect(long).rejects.toMatchObject({
      code: 10,
      data: { errors: [{ instancePath: '/expiresIn' }] },
    });
    const wide = parent.call('token.create', { scope: { mayReveal: true } });
    await expect(wide).rejects.toMatchObject({ code: 10 });
    const child = await parent.call<string>('token.create', { description: 'child' });
    const all = await admin.call<TokenInfo[]>('token.getAll');
    const find = (name: string) => all.find(({ description }) => description === name);
    expect(find('child')).toMatchObject({ scope, created_by: find('parent')?.id });
    expect(find('child')?.expiration).toBeLessThanOrEqual(find('parent')?.expiration ?? 0);
    // What it created goes with it.
    const open = await fixture.signIn({ token: child });
    await admin.call('token.deleteOwn', { tokens: [find('parent')?.id] });
    expect(await open.closed).toBe(4001);
    await expect(fixture.signIn({ token: child })).rejects.toMatchObject({ code: 3 });
  });
});

test('a ceiling of validity that was lowered ends tokens that were created for longer', async () => {
  const own = await ApiFixture.start({ limits: { maxTokenValidityMs: 3_600_000 } });
  try {
    const user = await own.signIn();
    const { id: userId } = await user.call<{ id: string }>('session.getUser');
    const token = await user.call<string>('token.create', {});
    const tokens = own.store.database.collection('token');
    const [stored] = await tokens.find({ userId });
    // As it was stored while the ceiling was higher.
    await tokens.set(stored?.id ?? '', { expiresAtMs: Date.now() + 10 * 3_600_000 });
    const open = await own.signIn({ token });
    own.clock.aheadMs += 3_600_000;
    open.socket.send('{"jsonrpc":"2.0","id":1,"method":"system.getVersion"}');
    expect(await open.closed).toBe(4001);
    await expect(own.signIn({ token })).rejects.toMatchObject({ code: 3 });
    await own.signIn(ADMIN);
  } finally {
    await own.stop();
  }
});

test('who may read nothing has no objects, and no error', async () => {
  const nobody = await fixture.userWith('none');
  expect(await nobody.call('xo.getAllObjects', {})).toEqual({});
  const { $getFrom } = await nobody.call<{ $getFrom: string }>('xo.getAllObjects', {
    ndjson: true,
  });
  expect(await (await fetch(new URL($getFrom, fixture.url))).text()).toBe('');
});
