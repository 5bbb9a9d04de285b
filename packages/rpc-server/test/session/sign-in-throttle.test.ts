import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SignInThrottle } from '../../src/session/sign-in-throttle.js';
import type { Attempt, Settle, ThrottleOptions } from '../../src/session/sign-in-throttle.js';

// Time goes on when a test says so, and timers with it.
beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const DELAY_MS = 2000;
const HERE = '192.0.2.1';

function throttleWith(options: Partial<ThrottleOptions> = {}): SignInThrottle {
  return new SignInThrottle({
    delayMs: DELAY_MS,
    waitMs: 0,
    guessesPerName: 1000,
    guessIntervalMs: 10_000,
    now: Date.now,
    ...options,
  });
}

/** From a connection of its own. */
function attempt(more: Partial<Attempt> = {}): Attempt {
  return { name: 'admin', address: HERE, connection: {}, isKnown: false, ...more };
}
const from = (address: string, more: Partial<Attempt> = {}): Attempt =>
  attempt({ address, ...more });

async function fail(throttle: SignInThrottle, one: Attempt): Promise<void> {
  const settle = await throttle.reserve(one);
  expect(settle).toBeDefined();
  settle?.('wrong');
}

/** Whether each has its turn by now. */
async function begun(attempts: readonly Promise<Settle | undefined>[]): Promise<boolean[]> {
  const open = Symbol('open');
  const now = await Promise.all(attempts.map((one) => Promise.race([one, Promise.resolve(open)])));
  return now.map((one) => one !== open);
}

test('lets nobody else of an address in before the outcome is known, and refuses who waited for a failure', async () => {
  const throttle = throttleWith();
  const settle = await throttle.reserve(attempt());
  const others = [throttle.reserve(attempt()), throttle.reserve(attempt())];
  settle?.('wrong');
  expect(await Promise.all(others)).toEqual([undefined, undefined]);
});

test('lets those who waited for a success in, one at a time', async () => {
  const throttle = throttleWith();
  const first = await throttle.reserve(attempt());
  const running = { now: 0, most: 0, all: 0 };
  const others = Array.from({ length: 3 }, async () => {
    const settle = await throttle.reserve(attempt());
    running.all += 1;
    running.now += 1;
    running.most = Math.max(running.most, running.now);
    await Promise.resolve();
    running.now -= 1;
    settle?.('right');
  });
  expect(running.all).toBe(0);
  first?.('right');
  await Promise.all(others);
  expect(running).toEqual({ now: 0, most: 1, all: 3 });
});

test('takes spellings of one name for one name', async () => {
  const throttle = throttleWith();
  await fail(throttle, attempt({ name: 'Admin@Example.org' }));
  expect(await throttle.reserve(attempt({ name: ' admin@example.ORG ' }))).toBeUndefined();
  await fail(throttle, attempt({ name: 'ﬁsh' }));
  expect(await throttle.reserve(attempt({ name: 'fish' }))).toBeUndefined();
  expect(await throttle.reserve(attempt({ name: 'fishes' }))).toBeDefined();
});

test('refuses for the delay after a failure, and attempts do not push it back', async () => {
  const throttle = throttleWith();
  await fail(throttle, attempt());
  await jest.advanceTimersByTimeAsync(DELAY_MS - 1);
  expect(await throttle.reserve(attempt())).toBeUndefined();
  await jest.advanceTimersByTimeAsync(1);
  expect(await throttle.reserve(attempt())).toBeDefined();
});

test('lets the next attempt through at once after a success', async () => {
  const throttle = throttleWith();
  (await throttle.reserve(attempt()))?.('right');
  expect(await throttle.reserve(attempt())).toBeDefined();
});

test('takes an attempt that checked no password for none: the next one, waiting or not, is let through', async () => {
  const throttle = throttleWith({ guessesPerName: 1 });
  const first = await throttle.reserve(attempt());
  const waiting = throttle.reserve(attempt());
  first?.('unchecked');
  const second = await waiting;
  expect(second).toBeDefined();
  second?.('unchecked');
  expect(throttle.size).toBe(0);
  expect(await throttle.reserve(attempt())).toBeDefined();
});

test('does not hold one address up for what another one guesses', async () => {
  const throttle = throttleWith();
  await fail(throttle, from('198.51.100.7'));
  expect(await throttle.reserve(attempt())).toBeDefined();
});

test('lets a connection that failed less go first: guesses without end keep nobody out, even of one address', async () => {
  const throttle = throttleWith({ waitMs: 10_000 });
  const attacker = {};
  await fail(throttle, attempt({ connection: attacker }));
  const guess = throttle.reserve(attempt({ connection: attacker }));
  // One waits; more from the same connection are refused at once.
  expect(await throttle.reserve(attempt({ connection: attacker }))).toBeUndefined();
  const victim = throttle.reserve(attempt());
  await jest.advanceTimersByTimeAsync(DELAY_MS);
  expect(await begun([guess, victim])).toEqual([false, true]);
  (await victim)?.('right');
  expect(await begun([guess])).toEqual([true]);
});

test('refuses at once who would wait too long, and lets the others wait', async () => {
  const throttle = throttleWith({ waitMs: DELAY_MS });
  await fail(throttle, attempt());
  const waiting = [throttle.reserve(attempt()), throttle.reserve(attempt())];
  expect(await begun(waiting)).toEqual([false, false]);
  await jest.advanceTimersByTimeAsync(DELAY_MS);
  const first = await Promise.race(waiting);
  first?.('wrong');
  expect((await Promise.all(waiting)).filter((settle) => settle === undefined)).toHaveLength(1);
});

describe('the budget of a name', () => {
  const MANY = Array.from({ length: 5 }, (_, i) => `198.51.100.${i}`);

  test('slows guesses from many addresses, and falls with time', async () => {
    const throttle = throttleWith({ guessesPerName: 5 });
    for (const address of MANY) await fail(throttle, from(address));
    expect(await throttle.reserve(from('203.0.113.1'))).toBeUndefined();
    await jest.advanceTimersByTimeAsync(10_000);
    await fail(throttle, from('203.0.113.2'));
    expect(await throttle.reserve(from('203.0.113.3'))).toBeUndefined();
  });

  test('does not hold up an address that signed in with the name before', async () => {
    const throttle = throttleWith({ guessesPerName: 5 });
    for (const address of MANY) await fail(throttle, from(address));
    expect(await throttle.reserve(attempt({ isKnown: true }))).toBeDefined();
  });

  test('is not spent by such an address, which has its own pause', async () => {
    const throttle = throttleWith({ guessesPerName: 1 });
    await fail(throttle, attempt({ isKnown: true }));
    expect(await throttle.reserve(attempt({ isKnown: true }))).toBeUndefined();
    expect(await throttle.reserve(from('203.0.113.1'))).toBeDefined();
  });

  test('is given to addresses that failed less', async () => {
    const throttle = throttleWith({ guessesPerName: 5, waitMs: 10_000 });
    for (const address of MANY) await fail(throttle, from(address));
    const attackers = MANY.map((address) => throttle.reserve(from(address)));
    const victim = throttle.reserve(attempt());
    await jest.advanceTimersByTimeAsync(10_000);
    expect(await begun([victim])).toEqual([true]);
    (await victim)?.('right');
    expect((await begun(attackers)).filter(Boolean)).toHaveLength(1);
  });

  test('holds no other name up', async () => {
    const throttle = throttleWith({ guessesPerName: 1 });
    await fail(throttle, attempt());
    expect(await throttle.reserve(attempt({ name: 'somebody else' }))).toBeDefined();
  });
});

describe('what is held', () => {
  test('is forgotten after a while, also while another attempt runs', async () => {
    const throttle = throttleWith({ guessesPerName: 2 });
    await throttle.reserve(attempt({ name: 'running' }));
    for (let i = 0; i < 100; i++) await fail(throttle, attempt({ name: `user${i}` }));
    expect(throttle.size).toBe(202);
    await jest.advanceTimersByTimeAsync(3_600_000);
    (await throttle.reserve(attempt({ name: 'one more' })))?.('right');
    expect(throttle.size).toBe(2);
  });

  test('is bounded under a flood of names and addresses', async () => {
    const throttle = throttleWith();
    for (let i = 0; i < 25_000; i++) {
      const settle = await throttle.reserve(attempt({ name: `user${i}`, address: `a${i}` }));
      settle?.('wrong');
    }
    expect(throttle.size).toBeLessThanOrEqual(30_002);
  });

  test('has room for who failed least, where many wait', async () => {
    const throttle = throttleWith({ waitMs: 60_000 });
    const attackers = Array.from({ length: 64 }, () => ({}));
    for (const connection of attackers) {
      await fail(throttle, attempt({ connection }));
      await jest.advanceTimersByTimeAsync(DELAY_MS);
    }
    await fail(throttle, attempt());
    const guesses = attackers.map((connection) => throttle.reserve(attempt({ connection })));
    const victim = throttle.reserve(attempt());
    expect((await begun(guesses)).filter(Boolean)).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(DELAY_MS);
    expect(await begun([victim])).toEqual([true]);
  });

  test('is given up when its connection is closed', async () => {
    const throttle = throttleWith({ waitMs: 60_000 });
    await fail(throttle, attempt());
    const connection = {};
    const waiting = throttle.reserve(attempt({ connection }));
    expect(throttle.isWaiting(connection)).toBe(true);
    throttle.leave(connection);
    expect(await waiting).toBeUndefined();
    const another = throttle.reserve(attempt());
    throttle.stop();
    expect(await another).toBeUndefined();
    expect(await throttle.reserve(attempt())).toBeUndefined();
  });
});
