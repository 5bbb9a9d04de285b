import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { usersOf } from '../../src/http/serving.js';
import { resolveLimits } from '../../src/limits.js';
import { resetPassword } from '../../src/session/reset-password.js';
import { Tokens } from '../../src/session/tokens.js';
import { ApiFixture } from '../api-fixture.js';
import type { RpcClient } from '../rpc-client.js';

const PASSWORD = 'long enough';
const OTP_SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const SIGNED_OUT = 4001;
const INVALID = { code: 3 };

let here: ApiFixture;
let there: ApiFixture;
beforeAll(async () => {
  here = await ApiFixture.start({ limits: { rightsRecheckMs: 200, throttlingDelayMs: 0 } });
  there = await here.another();
});
afterAll(async () => here?.stop());

interface Open {
  readonly user: RpcClient & { userId: string };
  readonly email: string;
  readonly token: string;
  /** By password and by token, here and on the other server. */
  readonly sockets: readonly RpcClient[];
}

async function userEverywhere(permission = 'read'): Promise<Open> {
  const user = await here.userWith(permission);
  const { email } = await user.call<{ email: string }>('session.getUser');
  const token = await user.call<string>('token.create', {});
  const credentials = { email, password: PASSWORD };
  const sockets = await Promise.all([
    here.signIn(credentials),
    here.signIn({ token }),
    there.signIn(credentials),
    there.signIn({ token }),
  ]);
  return { user, email, token, sockets };
}

async function expectAllEnded({ sockets, token }: Open): Promise<void> {
  expect(await Promise.all(sockets.map(({ closed }) => closed))).toEqual(
    sockets.map(() => SIGNED_OUT),
  );
  for (const server of [here, there]) {
    await expect(server.signIn({ token })).rejects.toMatchObject(INVALID);
  }
}

describe('every other session, socket and token of the user ends, on every server', () => {
  test('when the user changes the password; the session that did it lives on', async () => {
    const open = await userEverywhere();
    const change = { oldPassword: PASSWORD, newPassword: 'another one' };
    await open.user.call('user.changePassword', change);
    await expectAllEnded(open);
    expect(await open.user.call('session.getUser')).toMatchObject({ id: open.user.userId });
    await there.signIn({ email: open.email, password: 'another one' });
  });

  test('when the user changes the one-time password secret', async () => {
    const open = await userEverywhere();
    const id = open.user.userId;
    await open.user.call('user.set', { id, otpSecret: OTP_SECRET, currentPassword: PASSWORD });
    await expectAllEnded(open);
    expect(await open.user.call('session.getUser')).toMatchObject({ id });
  });

  test.each([
    ['password', { password: 'another one' }],
    ['one-time password secret', { otpSecret: OTP_SECRET }],
  ])('when an administrator changes the %s', async (_, change) => {
    const open = await userEverywhere();
    const admin = await here.signIn();
    await admin.call('user.set', { id: open.user.userId, ...change });
    await expectAllEnded({ ...open, sockets: [...open.sockets, open.user] });
    expect(await admin.call('session.getUser')).toMatchObject({ permission: 'admin' });
  });

  test('when the password is reset beside the servers', async () => {
    const open = await userEverywhere();
    const { store } = here;
    const users = usersOf(store.database, resolveLimits({ passwordMemoryKiB: 8192 }));
    const tokens = new Tokens(store.database.collection('token'), 10, Date.now);
    await resetPassword(users, tokens, open.email, false);
    await expectAllEnded({ ...open, sockets: [...open.sockets, open.user] });
  });
});

test('a token that changes the password lives on, with its other sockets; other tokens end', async () => {
  const open = await userEverywhere();
  const token = await open.user.call<string>('token.create', {});
  const mine = await Promise.all([here.signIn({ token }), there.signIn({ token })]);
  const change = { oldPassword: PASSWORD, newPassword: 'another one' };
  await mine[0]?.call('user.changePassword', change);
  await expectAllEnded({ ...open, sockets: [...open.sockets, open.user] });
  for (const client of [...mine, await there.signIn({ token })]) {
    expect(await client.call('session.getUser')).toMatchObject({ id: open.user.userId });
  }
  expect(await mine[0]?.call('token.getAll')).toHaveLength(1);
});

test('a token that somebody puts back into Redis after a change of the password opens nothing', async () => {
  const open = await userEverywhere();
  const tokens = here.store.database.collection('token');
  const [stored] = await tokens.find({ userId: open.user.userId });
  await open.user.call('user.changePassword', {
    oldPassword: PASSWORD,
    newPassword: 'another one',
  });
  await tokens.add(stored?.record ?? {}, { id: stored?.id ?? '' });
  await expect(here.signIn({ token: open.token })).rejects.toMatchObject(INVALID);
});

test('a changed permission is judged anew on open sockets and tokens, which live on', async () => {
  const open = await userEverywhere('write');
  const admin = await here.signIn();
  for (const client of open.sockets) await client.call('server.getAll', {});
  await admin.call('user.set', { id: open.user.userId, permission: 'none' });
  // What the other server still believed is over when its next recheck is due.
  here.clock.aheadMs += 200;
  for (const client of [...open.sockets, await there.signIn({ token: open.token })]) {
    await expect(client.call('server.getAll', {})).rejects.toMatchObject({ code: 2 });
    expect(await client.call('session.getUser')).toMatchObject({ permission: 'none' });
  }
});

test('the IPv6 address of who changes the password stays known by its /64', async () => {
  const proxied = await ApiFixture.start({ trustedProxies: ['127.0.0.1'] });
  const { userId } = await proxied.userWith('read');
  const admin = await proxied.signIn();
  const { email } = (await admin.call<{ id: string; email: string }[]>('user.getAll')).find(
    ({ id }) => id === userId,
  ) ?? { email: '' };
  const headers = { 'x-forwarded-for': '2001:db8:1:2::3' };
  const user = await proxied.connect({ headers });
  await user.call('session.signIn', { email, password: PASSWORD });
  await user.call('user.changePassword', { oldPassword: PASSWORD, newPassword: 'another one' });
  const stored = await proxied.store.database.collection('user').get(userId);
  expect(stored?.record['signInAddresses']).toEqual({
    '2001:db8:1:2::/64': expect.any(Number),
  });
  await proxied.stop();
});

describe('the own secret is changed only with the own password', () => {
  test.each([['read'], ['admin']])('by a user of permission %s', async (permission) => {
    const user = await here.userWith(permission);
    const id = user.userId;
    const missing = { code: 10, data: { errors: [{ instancePath: '/currentPassword' }] } };
    await expect(user.call('user.set', { id, otpSecret: OTP_SECRET })).rejects.toMatchObject(
      missing,
    );
    const wrong = { id, otpSecret: OTP_SECRET, currentPassword: 'not it' };
    await expect(user.call('user.set', wrong)).rejects.toMatchObject(INVALID);
    const off = { id, otpSecret: null };
    await expect(user.call('user.set', off)).rejects.toMatchObject(missing);
  });

  test('an administrator neither', async () => {
    const admin = await here.userWith('admin');
    const change = { id: admin.userId, password: 'another one' };
    await expect(admin.call('user.set', change)).rejects.toMatchObject({ code: 10 });
    await admin.call('user.set', { ...change, currentPassword: PASSWORD });
  });
});
