import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LIMITS } from '../../src/limits.js';
import { ADMIN, ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';
import type { TokenInfo } from '../../src/protocol.js';

let fixture: ApiFixture;
let admin: RpcClient;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { tokensPerUser: 5, throttlingDelayMs: 0 } });
  admin = await fixture.signIn();
});
afterAll(async () => fixture?.stop());

describe('users', () => {
  test('are listed without anything secret', async () => {
    const users = await admin.call<object[]>('user.getAll');
    expect(users[0]).toEqual({
      id: expect.any(String),
      email: ADMIN.email,
      permission: 'admin',
      mayReveal: false,
      groups: [],
      preferences: {},
      hasPassword: true,
      hasOtp: false,
    });
  });

  test('have names that are unique without regard to case', async () => {
    await admin.call('user.create', { email: 'Twice', password: 'long enough' });
    const again = admin.call('user.create', { email: 'tWICE', password: 'long enough' });
    await expect(again).rejects.toMatchObject({ code: 16, data: { objectType: 'user' } });
  });

  test.each([
    ['the reserved name', { email: ' Recovery ', password: 'long enough' }],
    ['a blank name', { email: '  ', password: 'long enough' }],
    ['a short password', { email: 'short', password: '1234567' }],
    ['an unknown permission', { email: 'x', password: 'long enough', permission: 'root' }],
  ])('are not created with %s', async (_, user) => {
    await expect(admin.call('user.create', user)).rejects.toMatchObject({
      code: 10,
      data: {
        errors: [{ instancePath: expect.stringMatching(/^\//), message: expect.any(String) }],
      },
    });
  });

  test('change their own password only with the old one', async () => {
    const user = await fixture.userWith('read');
    const { email } = await user.call<{ email: string }>('session.getUser');
    const wrong = { oldPassword: 'not it', newPassword: 'new password' };
    await expect(user.call('user.changePassword', wrong)).rejects.toMatchObject({ code: 3 });
    const right = { oldPassword: 'long enough', newPassword: 'new password' };
    expect(await user.call('user.changePassword', right)).toBe(true);
    await fixture.signIn({ email, password: 'new password' });
  });

  test('change their own preferences, and neither their rights nor those of others', async () => {
    const user = await fixture.userWith('none');
    await user.call('user.set', { id: user.userId, preferences: { lang: 'fr' } });
    expect(await user.call('session.getUser')).toMatchObject({ preferences: { lang: 'fr' } });
    const forbidden = { code: 5, data: { operation: 'user.set' } };
    for (const changes of [
      { permission: 'admin' },
      { mayReveal: true },
      { password: 'long enough 2' },
      { email: 'other' },
      { id: 'x', preferences: {} },
    ]) {
      await expect(user.call('user.set', { id: user.userId, ...changes })).rejects.toMatchObject(
        forbidden,
      );
    }
  });

  test('cannot be left without an administrator', async () => {
    const { id } = await admin.call<{ id: string }>('session.getUser');
    const lowered = admin.call('user.set', { id, permission: 'write' });
    await expect(lowered).rejects.toMatchObject({ code: 5 });
    await expect(admin.call('user.delete', { id })).rejects.toMatchObject({ code: 5 });
    const second = await fixture.userWith('admin');
    expect(await admin.call('user.set', { id: second.userId, permission: 'write' })).toBe(true);
  });

  test('are not changed without an id', async () => {
    const missing = { code: 10, data: { errors: [{ keyword: 'required' }] } };
    await expect(admin.call('user.set', { preferences: {} })).rejects.toMatchObject(missing);
  });

  test('take their tokens with them', async () => {
    const user = await fixture.userWith('read');
    const token = await user.call<string>('token.create', {});
    await admin.call('user.delete', { id: user.userId });
    await expect(fixture.signIn({ token })).rejects.toMatchObject({ code: 3 });
    const left = await fixture.store.database.collection('token').find({ userId: user.userId });
    expect(left).toEqual([]);
  });

  test('that are not there are named', async () => {
    const missing = { code: 1, data: { id: 'nobody', type: 'user' } };
    await expect(admin.call('user.delete', { id: 'nobody' })).rejects.toMatchObject(missing);
    await expect(admin.call('user.set', { id: 'nobody' })).rejects.toMatchObject(missing);
  });
});

describe('tokens', () => {
  test('are 43 characters that are stored nowhere, neither as id nor in a key name', async () => {
    const user = await fixture.userWith('read');
    const token = await user.call<string>('token.create', { description: 'cli' });
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const [info] = await user.call<TokenInfo[]>('token.getAll');
    expect(info).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      user_id: user.userId,
      created_at: expect.any(Number),
      expiration: (info?.created_at ?? 0) + LIMITS.defaultTokenValidityMs.default,
      description: 'cli',
      last_uses: {},
    });
    expect(await fixture.store.everythingStored()).not.toContain(token);
  });

  test('note where they were used last', async () => {
    const user = await fixture.userWith('read');
    const token = await user.call<string>('token.create', {});
    await fixture.signIn({ token });
    const [info] = await user.call<TokenInfo[]>('user.getAuthenticationTokens');
    expect(info?.last_uses).toEqual({ '127.0.0.1': { timestamp: expect.any(Number) } });
  });

  test('of one client stay valid when it registers again: a second machine goes on working', async () => {
    const user = await fixture.userWith('read');
    const client = { id: 'laptop' };
    const first = await user.call<string>('token.create', { client, description: 'one' });
    const open = await fixture.signIn({ token: first });
    const second = await user.call<string>('token.create', { client });
    const all = await user.call<TokenInfo[]>('token.getAll');
    expect(all.map((token) => token.client)).toEqual([client, client]);
    for (const token of [first, second]) await fixture.signIn({ token });
    expect(await open.call('session.getUser')).toMatchObject({ id: user.userId });
    await user.call('token.deleteOwn', { pattern: { client } });
    await expect(fixture.signIn({ token: first })).rejects.toMatchObject({ code: 3 });
  });

  test.each([
    ['59 seconds', 'must be at least 60000 ms'],
    ['1 year', 'must be at most 15778800000 ms'],
    ['1 month', 'must be a duration such as "2 days" or a number of milliseconds'],
    [59_999, 'must be at least 60000 ms'],
  ])('do not live for %p', async (expiresIn, message) => {
    await expect(admin.call('token.create', { expiresIn })).rejects.toMatchObject({
      code: 10,
      data: { errors: [{ instancePath: '/expiresIn', message }] },
    });
  });

  test('live as long as was asked', async () => {
    const user = await fixture.userWith('read');
    await user.call('token.create', { expiresIn: '2 days' });
    const [info] = await user.call<TokenInfo[]>('token.getAll');
    expect((info?.expiration ?? 0) - (info?.created_at ?? 0)).toBe(172_800_000);
  });

  test('have a number that is limited', async () => {
    const user = await fixture.userWith('read');
    for (let i = 0; i < 5; i++) await user.call('token.create', {});
    await expect(user.call('token.create', {})).rejects.toMatchObject({ code: 5 });
  });

  test('are deleted by id, by bearer and by pattern, and only the own', async () => {
    const [user, other] = [await fixture.userWith('read'), await fixture.userWith('read')];
    const bearer = await user.call<string>('token.create', { description: 'a' });
    await user.call('token.create', { description: 'b' });
    await user.call('token.create', { description: 'c', client: { id: 'x' } });
    const ids = (await user.call<TokenInfo[]>('token.getAll')).map(({ id }) => id);
    const foreign = other.call('token.deleteOwn', { tokens: ids });
    await expect(foreign).rejects.toMatchObject({ code: 1 });
    await user.call('token.deleteOwn', { tokens: [bearer] });
    await user.call('token.deleteOwn', { pattern: { client: { id: 'x' } } });
    const left = await user.call<TokenInfo[]>('token.getAll');
    expect(left.map(({ description }) => description)).toEqual(['b']);
    await admin.call('token.delete', { tokens: [left[0]?.id] });
    expect(await user.call('token.getAll')).toEqual([]);
  });

  test('are named either by ids or by a pattern', async () => {
    for (const params of [{}, { tokens: ['x'], pattern: { id: 'x' } }, { pattern: {} }]) {
      await expect(admin.call('token.deleteOwn', params)).rejects.toMatchObject({ code: 10 });
    }
  });

  test('that were sent by mistake are not sent back', async () => {
    const bearer = 'MARKER_'.padEnd(43, 'x');
    const error = await admin.call('token.deleteOwn', { tokens: [bearer] }).catch(String);
    expect(error).not.toContain('MARKER');
  });

  test('of others are seen by administrators only', async () => {
    const user = await fixture.userWith('read');
    await user.call('token.create', {});
    const { id } = await admin.call<{ id: string }>('session.getUser');
    expect(await admin.call('token.getAll', { user: user.userId })).toHaveLength(1);
    await expect(user.call('token.getAll', { user: id })).rejects.toMatchObject({ code: 2 });
  });
});
