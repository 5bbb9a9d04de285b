import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { oneTimePassword, decodeBase32, stepOf } from '../../src/session/one-time-password.js';
import { ADMIN, ApiFixture } from '../api-fixture.js';

let fixture: ApiFixture;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { rightsRecheckMs: 200, throttledWaitMs: 0 } });
});
afterAll(async () => fixture?.stop());
// Attempts of one test do not throttle those of the next.
beforeEach(() => {
  fixture.clock.aheadMs += 2000;
});

const INVALID = { code: 3, message: 'invalid credentials', data: undefined };
const TOO_MANY = { code: -32005, message: expect.stringContaining('wait some seconds') };

describe('by password', () => {
  test('gives the public properties of the user', async () => {
    const client = await fixture.connect();
    const user = await client.call('session.signIn', ADMIN);
    expect(user).toEqual({
      id: expect.any(String),
      email: ADMIN.email,
      permission: 'admin',
      groups: [],
      preferences: {},
    });
    expect(await client.call('session.getUser')).toEqual(user);
  });

  test('takes username for email, and ignores its case', async () => {
    const client = await fixture.connect();
    const credentials = { username: ADMIN.email.toUpperCase(), password: ADMIN.password };
    expect(await client.call('session.signIn', credentials)).toMatchObject({ email: ADMIN.email });
  });

  test.each([
    ['a wrong password', { email: ADMIN.email, password: 'wrong' }, INVALID],
    ['an unknown user', { email: 'nobody', password: ADMIN.password }, INVALID],
    ['no password at all', { email: 'nobody2' }, INVALID],
    ['nothing', {}, INVALID],
    ['an empty password', { email: ADMIN.email, password: '' }, INVALID],
    ['an empty token', { token: '' }, INVALID],
    ['an unknown token', { token: 'A'.repeat(43) }, INVALID],
  ])('has one face for %s', async (_, credentials, expected) => {
    const client = await fixture.connect();
    await expect(client.call('session.signIn', credentials)).rejects.toMatchObject(expected);
  });

  test('refuses even the right password within two seconds of a failure', async () => {
    const client = await fixture.connect();
    const wrong = { ...ADMIN, password: 'wrong' };
    await expect(client.call('session.signIn', wrong)).rejects.toMatchObject(INVALID);
    await expect(client.call('session.signIn', ADMIN)).rejects.toMatchObject(TOO_MANY);
    fixture.clock.aheadMs += 2000;
    expect(await client.call('session.signIn', ADMIN)).toMatchObject({ email: ADMIN.email });
  });

  test('checks one password of many that are sent at once for a name', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => fixture.connect()));
    const guesses = clients.map((client, i) =>
      client.call('session.signIn', { email: ADMIN.email, password: `guess ${i}` }),
    );
    const codes = (await Promise.allSettled(guesses)).map((outcome) =>
      outcome.status === 'rejected' ? (outcome.reason as { code: number }).code : 0,
    );
    expect(codes.filter((code) => code === 3)).toHaveLength(1);
    expect(codes.filter((code) => code === TOO_MANY.code)).toHaveLength(9);
  });

  test('lets programs in that sign in at once with the right password', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => fixture.connect()));
    const users = await Promise.all(clients.map((client) => client.call('session.signIn', ADMIN)));
    expect(users).toHaveLength(5);
  });

  test('leaves who was signed in before a failure, and the last sign-in wins', async () => {
    const reader = await fixture.userWith('read');
    const wrong = { ...ADMIN, password: 'wrong' };
    await expect(reader.call('session.signIn', wrong)).rejects.toMatchObject(INVALID);
    expect(await reader.call('session.getUser')).toMatchObject({ permission: 'read' });
    fixture.clock.aheadMs += 2000;
    await reader.call('session.signIn', ADMIN);
    expect(await reader.call('session.getUser')).toMatchObject({ permission: 'admin' });
  });

  test('asks for the one-time password where there is a secret, and takes each code once', async () => {
    const otpSecret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
    const user = await fixture.userWith('read');
    await user.call('user.set', {
      id: user.userId,
      otpSecret,
      currentPassword: 'long enough',
    });
    const { email } = await user.call<{ email: string }>('session.getUser');
    const client = await fixture.connect();
    const credentials = { email, password: 'long enough' };
    await expect(client.call('session.signIn', credentials)).rejects.toMatchObject(INVALID);
    fixture.clock.aheadMs += 2000;
    const nowMs = Date.now() + fixture.clock.aheadMs;
    const otp = oneTimePassword(decodeBase32(otpSecret) ?? Buffer.alloc(0), stepOf(nowMs));
    expect(await client.call('session.signIn', { ...credentials, otp })).toMatchObject({ email });
    const again = fixture
      .connect()
      .then((it) => it.call('session.signIn', { ...credentials, otp }));
    await expect(again).rejects.toMatchObject(INVALID);
  });

  test('keeps passwords out of log and records', async () => {
    await fixture.userWith('read', { password: 'MARKER-PASSWORD' }).catch(() => undefined);
    const client = await fixture.connect();
    const guess = { email: 'someone', password: 'MARKER-GUESS' };
    await expect(client.call('session.signIn', guess)).rejects.toMatchObject(INVALID);
    expect(fixture.logger.text).not.toContain('MARKER');
  });
});

describe('permissions', () => {
  test('nobody may call what is not public', async () => {
    const stranger = await fixture.connect();
    for (const name of ['server.getAll', 'token.create', 'encryption.getStatus', 'user.getAll']) {
      await expect(stranger.call(name, {})).rejects.toMatchObject({
        code: 2,
        message: 'not enough permissions',
        data: { permission: expect.any(String), object: {} },
      });
    }
  });

  test.each([
    [
      'none',
      {
        'token.getAll': true,
        'xo.getAllObjects': true,
        'server.getAll': false,
        'user.getAll': false,
      },
    ],
    ['read', { 'server.getAll': true, 'xo.getAllObjects': true, 'encryption.getStatus': false }],
    ['write', { 'server.getAll': true, 'encryption.getStatus': false, 'user.getAll': false }],
  ])('%s may call what it may, and no more', async (permission, table) => {
    const user = await fixture.userWith(permission);
    for (const [name, isAllowed] of Object.entries(table)) {
      const called = user.call(name, {}).then(
        () => true,
        (error: { code: number }) => error.code !== 2,
      );
      expect([name, await called]).toEqual([name, isAllowed]);
    }
  });

  test('says who may not before it says what is wrong with the parameters', async () => {
    const user = await fixture.userWith('read');
    await expect(user.call('server.add', { nonsense: 1 })).rejects.toMatchObject({ code: 2 });
  });
});

describe('rights on live connections', () => {
  test('a deleted user loses its connections at once', async () => {
    const user = await fixture.userWith('read');
    const admin = await fixture.signIn();
    await admin.call('user.delete', { id: user.userId });
    expect(await user.closed).toBe(4001);
  });

  test('a permission that was lowered counts at once', async () => {
    const user = await fixture.userWith('write');
    const admin = await fixture.signIn();
    await admin.call('user.set', { id: user.userId, permission: 'none' });
    await expect(user.call('server.getAll', {})).rejects.toMatchObject({ code: 2 });
  });

  test('what another process took away is noticed without a call', async () => {
    const user = await fixture.userWith('read');
    await fixture.store.database.collection('user').remove(user.userId);
    expect(await user.closed).toBe(4001);
  });

  test('a deleted token ends the connections that used it, not the others', async () => {
    const admin = await fixture.signIn();
    const token = await admin.call<string>('token.create', {});
    const byToken = await fixture.signIn({ token });
    await admin.call('token.deleteOwn', { tokens: [token] });
    expect(await byToken.closed).toBe(4001);
    expect(await admin.call('session.getUser')).toMatchObject({ email: ADMIN.email });
  });

  test('the first message after the end of a token closes the connection unanswered', async () => {
    const admin = await fixture.signIn();
    const token = await admin.call<string>('token.create', { expiresIn: '1 min' });
    const byToken = await fixture.signIn({ token });
    fixture.clock.aheadMs += 60_000;
    byToken.socket.send('{"jsonrpc":"2.0","id":1,"method":"system.getVersion"}');
    await expect(byToken.frame()).rejects.toThrow('closed: 4001');
    const late = fixture.connect().then((client) => client.call('session.signIn', { token }));
    await expect(late).rejects.toMatchObject(INVALID);
  });
});
