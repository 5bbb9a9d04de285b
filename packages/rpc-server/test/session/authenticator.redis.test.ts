import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';
import { AuditLog } from '../../src/session/audit-log.js';
import { Authenticator } from '../../src/session/authenticator.js';
import { decodeBase32, oneTimePassword, stepOf } from '../../src/session/one-time-password.js';
import { OtpGuesses } from '../../src/session/otp-guesses.js';
import { Passwords } from '../../src/session/passwords.js';
import type { Identity } from '../../src/session/session.js';
import { SignInThrottle } from '../../src/session/sign-in-throttle.js';
import type { ThrottleOptions } from '../../src/session/sign-in-throttle.js';
import { Tokens } from '../../src/session/tokens.js';
import { Users } from '../../src/session/users.js';
import { RecordingLogger } from '../api-fixture.js';
import { openTestDatabase } from '../test-database.js';
import type { TestDatabase } from '../test-database.js';

const USER = { email: 'operator@example.org', password: 'correct horse battery' };
const ORIGIN = { address: '192.0.2.1', connection: {} };
const SHARE = { key: 'somebody else', isKnown: true };

let store: TestDatabase;
beforeAll(async () => {
  store = await openTestDatabase(BUILTIN_COLLECTIONS);
});
afterAll(async () => store?.stop());

/** Time stands still: whoever is throttled stays it. */
const now = (): number => 1_000_000_000;

/** One check at once, and none that waits. */
async function oneCheckAtOnce(
  otpGuesses = new OtpGuesses({ otpGuesses: 1000, otpGuessIntervalMs: 1000 }, now),
  ownLimits: Partial<ThrottleOptions> = {},
): Promise<{
  authenticator: Authenticator;
  passwords: Passwords;
  users: Users;
}> {
  const passwords = new Passwords({ memoryKiB: 8192, atOnce: 1, waiting: 0, maxBytes: 64 });
  const users = new Users(store.database.collection('user'), passwords);
  if ((await users.byEmail(USER.email)) === undefined) await users.create(USER);
  const tokens = new Tokens(store.database.collection('token'), 10, now);
  const limits = { delayMs: 2000, waitMs: 0, guessesPerName: 3, guessIntervalMs: 1000, now };
  const throttle = new SignInThrottle(limits);
  const ownThrottle = new SignInThrottle({ ...limits, ...ownLimits });
  const audit = new AuditLog(new RecordingLogger());
  return {
    passwords,
    users,
    authenticator: new Authenticator({
      users,
      tokens,
      passwords,
      throttle,
      ownThrottle,
      otpGuesses,
      audit,
      now,
    }),
  };
}

/** Keeps the one place taken while `work` runs: the next check begins in the turn in which the last one ends. */
async function whileBusy(passwords: Passwords, work: () => Promise<void>): Promise<void> {
  const working = { isOver: false };
  const busy = (async () => {
    // oxlint-disable-next-line no-await-in-loop -- one check after the other is the point
    while (!working.isOver) await passwords.isRight('of somebody else', undefined, SHARE);
  })();
  await work().finally(() => {
    working.isOver = true;
  });
  await busy;
}

test('a sign-in that the full queue refused is no failed one: the next is checked at once', async () => {
  const { authenticator, passwords } = await oneCheckAtOnce();
  await whileBusy(passwords, async () => {
    await expect(authenticator.byPassword(USER, ORIGIN)).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
    });
  });
  expect(await authenticator.byPassword(USER, ORIGIN)).toMatchObject({ email: USER.email });
});

test('nor is a check of the own password that it refused', async () => {
  const { authenticator, passwords } = await oneCheckAtOnce();
  const identity = await authenticator.byPassword(USER, ORIGIN);
  await whileBusy(passwords, async () => {
    await expect(
      authenticator.isOwnPassword(identity, USER.password, ORIGIN),
    ).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });
  expect(await authenticator.isOwnPassword(identity, USER.password, ORIGIN)).toBe(true);
  expect(await authenticator.isOwnPassword(identity, 'wrong', ORIGIN)).toBe(false);
  await expect(authenticator.isOwnPassword(identity, USER.password, ORIGIN)).rejects.toMatchObject({
    code: 'TOO_MANY_SIGN_INS',
  });
});

describe('who checks the own password with a stolen token', () => {
  async function stolen(ownLimits?: Partial<ThrottleOptions>) {
    const { authenticator } = await oneCheckAtOnce(undefined, ownLimits);
    const owner = await authenticator.byPassword(USER, ORIGIN);
    const isRight = (identity: Identity, password: string): Promise<boolean> =>
      authenticator.isOwnPassword(identity, password, { ...ORIGIN, connection: {} });
    return { owner, thief: { ...owner, tokenId: 'stolen' }, isRight };
  }
  const TOO_MANY = { code: 'TOO_MANY_SIGN_INS' };

  test('waits after a wrong one, and keeps its owner from nothing', async () => {
    const { owner, thief, isRight } = await stolen();
    expect(await isRight(thief, 'wrong')).toBe(false);
    await expect(isRight(thief, USER.password)).rejects.toMatchObject(TOO_MANY);
    expect(await isRight(owner, USER.password)).toBe(true);
    expect(await isRight({ ...owner, tokenId: 'own' }, USER.password)).toBe(true);
  });

  test('has a budget for wrong ones, of that token alone', async () => {
    const { owner, thief, isRight } = await stolen({ delayMs: 0 });
    for (const guess of ['one', 'two', 'three']) expect(await isRight(thief, guess)).toBe(false);
    await expect(isRight(thief, USER.password)).rejects.toMatchObject(TOO_MANY);
    expect(await isRight(owner, USER.password)).toBe(true);
  });
});

test('an address that signed in keeps its lane after a restart, under guesses from many others', async () => {
  const { authenticator } = await oneCheckAtOnce();
  await authenticator.byPassword(USER, ORIGIN);
  // Throttle and queue of a process that was started anew.
  const restarted = (await oneCheckAtOnce()).authenticator;
  const guess = (at: number): Promise<unknown> =>
    restarted.byPassword(
      { ...USER, password: 'wrong' },
      { address: `198.51.100.${at}`, connection: {} },
    );
  for (const at of [1, 2, 3]) {
    await expect(guess(at)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
  }
  await expect(guess(4)).rejects.toMatchObject({ code: 'TOO_MANY_SIGN_INS' });
  expect(await restarted.byPassword(USER, ORIGIN)).toMatchObject({ email: USER.email });
});

test('a new password forgets the addresses that the old one signed in from', async () => {
  const { authenticator, users } = await oneCheckAtOnce();
  const id = await users.create({ email: 'moved', password: 'the first one' });
  await authenticator.byPassword({ email: 'moved', password: 'the first one' }, ORIGIN);
  expect(await users.byId(id)).toMatchObject({
    signInAddresses: { [ORIGIN.address]: expect.any(Number) },
  });
  await users.set(id, { password: 'the second one' });
  expect(await users.byId(id)).toMatchObject({ signInAddresses: {} });
});

describe('a one-time password', () => {
  const otpSecret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  const otp = oneTimePassword(decodeBase32(otpSecret) ?? Buffer.alloc(0), stepOf(now()));
  const codeOf = (outcome: PromiseSettledResult<unknown>): string =>
    outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'signed in';

  async function withSecret(email: string): Promise<void> {
    const { users } = await oneCheckAtOnce();
    await users.create({ email, password: USER.password, otpSecret });
  }
  async function signIn(email: string, code: string): Promise<unknown> {
    const { authenticator } = await oneCheckAtOnce();
    return authenticator.byPassword({ email, password: USER.password, otp: code }, ORIGIN);
  }

  test('is used once, by a server that was restarted too', async () => {
    await withSecret('otp1');
    await signIn('otp1', otp);
    await expect(signIn('otp1', otp)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test('signs in one of two that use it at once on two servers', async () => {
    await withSecret('otp2');
    const outcomes = await Promise.allSettled([signIn('otp2', otp), signIn('otp2', otp)]);
    expect(outcomes.map(codeOf).toSorted()).toEqual(['INVALID_CREDENTIALS', 'signed in']);
  });

  test('is guessed ten times by who has the password, whatever right sign-ins come between', async () => {
    await withSecret('otp-guessed');
    const { users } = await oneCheckAtOnce();
    const id = (await users.byEmail('otp-guessed'))?.id ?? '';
    let aheadMs = 0;
    const clock = (): number => now() + aheadMs;
    const guesses = new OtpGuesses({ otpGuesses: 10, otpGuessIntervalMs: 900_000 }, clock);
    const compared: string[] = [];
    const compare = (code: string, address?: string) =>
      guesses.compare(id, address, () => {
        compared.push(code);
        return code === otp ? code : undefined;
      });
    for (let guess = 0; guess < 10; guess += 1) {
      expect(compare('000000')).toBeUndefined();
      // The owner's own sign-ins, from where they always come, go on.
      expect(compare(otp, '192.0.2.7')).toBe(otp);
    }
    expect(compare(otp)).toBe('spent');
    expect(compared).toHaveLength(20);
    aheadMs = 899_999;
    expect(compare(otp)).toBe('spent');
    aheadMs = 900_000;
    expect(compare('000000')).toBeUndefined();
    expect(compare(otp)).toBe('spent');
  });

  test('is refused as a wrong one once the guesses are spent, and the audit says why', async () => {
    await withSecret('otp-spent');
    const guesses = new OtpGuesses({ otpGuesses: 1, otpGuessIntervalMs: 1000 }, now);
    const tried = async (code: string): Promise<unknown> => {
      const { authenticator } = await oneCheckAtOnce(guesses);
      return authenticator.byPassword(
        { email: 'otp-spent', password: USER.password, otp: code },
        ORIGIN,
      );
    };
    const wrong = { code: 'INVALID_CREDENTIALS' };
    await expect(tried('000000')).rejects.toMatchObject(wrong);
    await expect(tried(otp)).rejects.toMatchObject(wrong);
    const other = await oneCheckAtOnce();
    const credentials = { email: 'otp-spent', password: USER.password, otp };
    expect(await other.authenticator.byPassword(credentials, ORIGIN)).toBeDefined();
  });

  test('of a wrong password is not used up', async () => {
    await withSecret('otp3');
    const { authenticator } = await oneCheckAtOnce();
    const wrong = authenticator.byPassword({ email: 'otp3', password: 'wrong', otp }, ORIGIN);
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await signIn('otp3', otp)).toMatchObject({ email: 'otp3' });
  });
});

test('a password that was changed while its hash was made anew is not set back', async () => {
  const { users } = await oneCheckAtOnce();
  const id = await users.create({ email: 'rehashed', password: 'the first one' });
  const before = await users.byId(id);
  if (before === undefined) throw new Error('the user is there');
  await users.set(id, { password: 'the second one' });
  const changed = await users.byId(id);
  const trace = { address: ORIGIN.address, nowMs: now(), rehash: 'the first one' };
  expect(await users.acceptSignIn(before, trace)).toBeUndefined();
  expect(await users.byId(id)).toEqual(changed);
});

test('a name that is longer than any costs nothing, and is no guess', async () => {
  const { authenticator, passwords } = await oneCheckAtOnce();
  const email = '\uFDFA'.repeat(700_000);
  // No place for a password check is free, and none is asked for.
  await whileBusy(passwords, async () => {
    const signIn = authenticator.byPassword({ email, password: 'x' }, ORIGIN);
    await expect(signIn).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });
});
