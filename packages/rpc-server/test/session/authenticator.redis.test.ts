import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';
import { AuditLog } from '../../src/session/audit-log.js';
import { Authenticator } from '../../src/session/authenticator.js';
import { Passwords } from '../../src/session/passwords.js';
import { SignInThrottle } from '../../src/session/sign-in-throttle.js';
import { Tokens } from '../../src/session/tokens.js';
import { Users } from '../../src/session/users.js';
import { RecordingLogger } from '../api-fixture.js';
import { openTestDatabase } from '../test-database.js';
import type { TestDatabase } from '../test-database.js';

const USER = { email: 'operator@example.org', password: 'correct horse battery' };
const ADDRESS = '192.0.2.1';

let store: TestDatabase;
beforeAll(async () => {
  store = await openTestDatabase(BUILTIN_COLLECTIONS);
});
afterAll(async () => store?.stop());

/** Time stands still: whoever is throttled stays it. */
const now = (): number => 1000;

/** One check at once, and none that waits. */
async function oneCheckAtOnce(): Promise<{ authenticator: Authenticator; passwords: Passwords }> {
  const passwords = new Passwords({ memoryKiB: 8192, atOnce: 1, waiting: 0, maxBytes: 64 });
  const users = new Users(store.database.collection('user'), passwords);
  if ((await users.byEmail(USER.email)) === undefined) await users.create(USER);
  const tokens = new Tokens(store.database.collection('token'), 10, now);
  const throttle = new SignInThrottle({ delayMs: 2000, now });
  const audit = new AuditLog(new RecordingLogger());
  return {
    passwords,
    authenticator: new Authenticator({ users, tokens, passwords, throttle, audit, now }),
  };
}

/** Keeps the one place taken while `work` runs: the next check begins in the turn in which the last one ends. */
async function whileBusy(passwords: Passwords, work: () => Promise<void>): Promise<void> {
  const working = { isOver: false };
  const busy = (async () => {
    // oxlint-disable-next-line no-await-in-loop -- one check after the other is the point
    while (!working.isOver) await passwords.isRight('of somebody else', undefined);
  })();
  await work().finally(() => {
    working.isOver = true;
  });
  await busy;
}

test('a sign-in that the full queue refused is no failed one: the next is checked at once', async () => {
  const { authenticator, passwords } = await oneCheckAtOnce();
  await whileBusy(passwords, async () => {
    await expect(authenticator.byPassword(USER, ADDRESS)).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
    });
  });
  expect(await authenticator.byPassword(USER, ADDRESS)).toMatchObject({ email: USER.email });
});

test('nor is a check of the own password that it refused', async () => {
  const { authenticator, passwords } = await oneCheckAtOnce();
  const identity = await authenticator.byPassword(USER, ADDRESS);
  await whileBusy(passwords, async () => {
    await expect(
      authenticator.isOwnPassword(identity, USER.password, ADDRESS),
    ).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });
  expect(await authenticator.isOwnPassword(identity, USER.password, ADDRESS)).toBe(true);
  expect(await authenticator.isOwnPassword(identity, 'wrong', ADDRESS)).toBe(false);
  await expect(authenticator.byPassword(USER, ADDRESS)).rejects.toMatchObject({
    code: 'SIGN_IN_REFUSED',
  });
});
