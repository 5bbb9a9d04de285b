/** What a call writes, or reads, that waited while somebody took the right to do so away. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Collection } from '@vault/redis-store';
import { OneAtATime } from '../../src/rpc/one-at-a-time.js';
import { Passwords } from '../../src/session/passwords.js';
import { Tokens } from '../../src/session/tokens.js';
import { Users } from '../../src/session/users.js';
import { ApiFixture } from '../api-fixture.js';
import { hold, whenOver } from '../held-work.js';
import type { RpcClient } from '../rpc-client.js';

const PASSWORD = 'long enough';
const OF_THE_THIEF = 'chosen by the thief';
const OF_THE_ADMINISTRATOR = 'set by the administrator';
const REFUSED = { code: 2 };
const INVALID = { code: 3 };

let here: ApiFixture;
let there: ApiFixture;
beforeAll(async () => {
  here = await ApiFixture.start({ limits: { throttlingDelayMs: 0 } });
  there = await here.another();
});
afterAll(async () => here?.stop());

const PASSWORDS = Passwords.prototype;
const COLLECTIONS = Collection.prototype;

async function emailOf(client: RpcClient): Promise<string> {
  const { email } = await client.call<{ email: string }>('session.getUser');
  return email;
}

async function expectSecondPasswordAlone(email: string, right: string, wrong: string) {
  await there.signIn({ email, password: right });
  await expect(here.signIn({ email, password: wrong })).rejects.toMatchObject(INVALID);
}

describe('who changes the own password with a stolen session', () => {
  const change = { oldPassword: PASSWORD, newPassword: OF_THE_THIEF };

  test.each([
    ['the old one is being compared', 'isRight', true],
    ['the new one is being hashed', 'hash', false],
  ] as const)('does not undo a reset that came while %s', async (_, name, afterwards) => {
    const thief = await here.userWith('read');
    const email = await emailOf(thief);
    const held = hold(PASSWORDS, name, {
      isMeant: (password) => password !== OF_THE_ADMINISTRATOR,
      afterwards,
    });
    const changed = thief.call('user.changePassword', change);
    changed.catch(() => undefined);
    await held.reached;
    const admin = await there.signIn();
    await admin.call('user.set', { id: thief.userId, password: OF_THE_ADMINISTRATOR });
    held.release();
    await expect(changed).rejects.toThrow(/permissions|closed/);
    await expectSecondPasswordAlone(email, OF_THE_ADMINISTRATOR, OF_THE_THIEF);
  });

  test('writes on the record of a reset that came after all was asked, either', async () => {
    const thief = await here.userWith('read');
    const email = await emailOf(thief);
    // The last step of all: on this server it is asked for nothing any more.
    const held = hold(COLLECTIONS, 'update', { of: 'user' });
    const changed = thief.call('user.changePassword', change);
    changed.catch(() => undefined);
    await held.reached;
    const admin = await there.signIn();
    await admin.call('user.set', { id: thief.userId, password: OF_THE_ADMINISTRATOR });
    held.release();
    await expect(changed).rejects.toThrow(/permissions|closed/);
    await expectSecondPasswordAlone(email, OF_THE_ADMINISTRATOR, OF_THE_THIEF);
  });
});

test.each([
  ['session', false],
  ['token', true],
])(
  'a stolen %s that is changing the password ends with a reset all the same',
  async (_, isToken) => {
    const owner = await here.userWith('read');
    const token = await owner.call<string>('token.create', {});
    const password = { email: await emailOf(owner), password: PASSWORD };
    const thief = await here.signIn(isToken ? { token } : password);
    const held = hold(PASSWORDS, 'hash', { isMeant: (wanted) => wanted === OF_THE_THIEF });
    const change = { oldPassword: PASSWORD, newPassword: OF_THE_THIEF };
    const changed = thief.call('user.changePassword', change);
    changed.catch(() => undefined);
    await held.reached;
    const admin = await here.signIn();
    await admin.call('user.set', { id: owner.userId, password: OF_THE_ADMINISTRATOR });
    // While the change is still under way; an answer to this would come first.
    thief.socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.getUser' }));
    await expect(changed).rejects.toThrow(/permissions|closed/);
    held.release();
  },
);

describe('who is no administrator any more', () => {
  /** Demoted on the other server, while the hash of a new password is made here. */
  async function demotedWhileHashing(
    method: string,
    params: (victim: string) => object,
  ): Promise<{ readonly changed: Promise<unknown>; readonly victim: RpcClient }> {
    const thief = await here.userWith('admin');
    const victim = await here.userWith('read');
    const admin = await there.signIn();
    const held = hold(PASSWORDS, 'hash', { isMeant: (password) => password === OF_THE_THIEF });
    const changed = thief.call(method, params(victim.userId));
    changed.catch(() => undefined);
    await held.reached;
    await admin.call('user.set', { id: thief.userId, permission: 'read' });
    held.release();
    return { changed, victim };
  }

  test('creates no user', async () => {
    const email = 'left.behind@example.org';
    const user = { email, password: OF_THE_THIEF, permission: 'admin' };
    const { changed } = await demotedWhileHashing('user.create', () => user);
    await expect(changed).rejects.toMatchObject(REFUSED);
    await expect(here.signIn({ email, password: OF_THE_THIEF })).rejects.toMatchObject(INVALID);
  });

  test('changes nobody’s password', async () => {
    const { changed, victim } = await demotedWhileHashing('user.set', (id) => ({
      id,
      password: OF_THE_THIEF,
    }));
    await expect(changed).rejects.toMatchObject(REFUSED);
    await expectSecondPasswordAlone(await emailOf(victim), PASSWORD, OF_THE_THIEF);
  });

  test('removes nobody after waiting for another change', async () => {
    const thief = await here.userWith('admin');
    const victim = await here.userWith('read');
    const admin = await here.signIn();
    const held = hold(COLLECTIONS, 'update', { of: 'user', afterwards: true });
    const demoted = admin.call('user.set', { id: thief.userId, permission: 'none' });
    await held.reached;
    const judged = hold(Users.prototype, 'remove');
    const removed = thief.call('user.delete', { id: victim.userId });
    removed.catch(() => undefined);
    await judged.reached;
    judged.release();
    held.release();
    await demoted;
    await expect(removed).rejects.toMatchObject(REFUSED);
    expect(await victim.call('session.getUser')).toMatchObject({ id: victim.userId });
  });

  test('reads nothing that waited behind another reading of theirs', async () => {
    const thief = await here.userWith('admin');
    const again = await here.signIn({ email: await emailOf(thief), password: PASSWORD });
    const other = await here.userWith('read');
    await other.call('token.create', {});
    const admin = await here.signIn();
    const held = hold(COLLECTIONS, 'find', { of: 'token' });
    const first = thief.call('token.getAll');
    await held.reached;
    const judged = hold(OneAtATime.prototype, 'run');
    const second = again.call('token.getAll', { user: other.userId });
    second.catch(() => undefined);
    await judged.reached;
    judged.release();
    await admin.call('user.set', { id: thief.userId, permission: 'none' });
    held.release();
    await first;
    await expect(second).rejects.toMatchObject(REFUSED);
  });
});

describe('a token that is being created', () => {
  test.each([
    ['the one that creates it is deleted', 'token'],
    ['its user is deleted', 'user'],
    ['the password of its user is changed', 'password'],
  ])('is not left when %s', async (_, what) => {
    const admin = await here.signIn();
    const owner = await here.userWith('read');
    const scope = { mayCreateTokens: true };
    const token = await owner.call<string>('token.create', { scope });
    const [made] = await owner.call<{ id: string }[]>('token.getAll');
    const thief = await here.signIn({ token });
    const held = hold(COLLECTIONS, 'add', { of: 'token' });
    const over = whenOver(Tokens.prototype, 'create');
    const created = thief.call('token.create', {});
    created.catch(() => undefined);
    await held.reached;
    if (what === 'token') await admin.call('token.delete', { tokens: [made?.id ?? ''] });
    if (what === 'user') await admin.call('user.delete', { id: owner.userId });
    if (what === 'password') {
      await admin.call('user.set', { id: owner.userId, password: OF_THE_ADMINISTRATOR });
    }
    held.release();
    await expect(created).rejects.toThrow(/permissions|closed/);
    // The socket may be closed before the call ends.
    await over;
    const left = await here.store.database.collection('token').find({ userId: owner.userId });
    expect(left.map(({ record }) => record['createdBy'])).toEqual([]);
  });
});

test('a sign-in whose password was changed while it was compared does not stand', async () => {
  const user = await here.userWith('read');
  const email = await emailOf(user);
  const admin = await there.signIn();
  const held = hold(PASSWORDS, 'isRight', { afterwards: true });
  const signedIn = here.signIn({ email, password: PASSWORD });
  signedIn.catch(() => undefined);
  await held.reached;
  await admin.call('user.set', { id: user.userId, password: OF_THE_ADMINISTRATOR });
  held.release();
  await expect(signedIn).rejects.toMatchObject(INVALID);
});
