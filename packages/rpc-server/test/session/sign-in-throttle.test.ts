import { expect, test } from '@jest/globals';
import { SignInThrottle } from '../../src/session/sign-in-throttle.js';

function throttleAt(): { throttle: SignInThrottle; clock: { nowMs: number } } {
  const clock = { nowMs: 1000 };
  return { throttle: new SignInThrottle({ delayMs: 2000, now: () => clock.nowMs }), clock };
}

test('lets nobody else in before the outcome is known, and refuses who waited for a failure', async () => {
  const { throttle } = throttleAt();
  const settle = await throttle.reserve('admin');
  const others = [throttle.reserve('admin'), throttle.reserve('admin')];
  settle?.('wrong');
  expect(await Promise.all(others)).toEqual([undefined, undefined]);
});

test('lets those who waited for a success in, one after the other', async () => {
  const { throttle } = throttleAt();
  const first = await throttle.reserve('admin');
  const order: string[] = [];
  const others = ['second', 'third'].map(async (name) => {
    const settle = await throttle.reserve('admin');
    order.push(`${name} begins`);
    await Promise.resolve();
    order.push(`${name} ends`);
    settle?.('right');
  });
  order.push('first ends');
  first?.('right');
  await Promise.all(others);
  expect(order).toEqual([
    'first ends',
    'second begins',
    'second ends',
    'third begins',
    'third ends',
  ]);
});

test('lets only so many wait', async () => {
  const { throttle } = throttleAt();
  const first = await throttle.reserve('admin');
  const others = Array.from({ length: 33 }, () => throttle.reserve('admin'));
  expect(await others[32]).toBeUndefined();
  first?.('wrong');
  expect(await Promise.all(others)).toEqual(others.map(() => undefined));
});

test('takes spellings of one name for one name', async () => {
  const { throttle } = throttleAt();
  (await throttle.reserve('Admin@Example.org'))?.('wrong');
  expect(await throttle.reserve(' admin@example.ORG ')).toBeUndefined();
  (await throttle.reserve('ﬁsh'))?.('wrong');
  expect(await throttle.reserve('fish')).toBeUndefined();
  expect(await throttle.reserve('fishes')).toBeDefined();
});

test('refuses for the delay after a failure, and attempts do not push it back', async () => {
  const { throttle, clock } = throttleAt();
  (await throttle.reserve('admin'))?.('wrong');
  clock.nowMs += 1999;
  expect(await throttle.reserve('admin')).toBeUndefined();
  clock.nowMs += 1;
  expect(await throttle.reserve('admin')).toBeDefined();
});

test('lets the next attempt through at once after a success', async () => {
  const { throttle } = throttleAt();
  (await throttle.reserve('admin'))?.('right');
  expect(await throttle.reserve('admin')).toBeDefined();
});

test('takes an attempt that checked no password for none: the next one, waiting or not, is let through', async () => {
  const { throttle } = throttleAt();
  const first = await throttle.reserve('admin');
  const waiting = throttle.reserve('admin');
  first?.('unchecked');
  const second = await waiting;
  expect(second).toBeDefined();
  second?.('unchecked');
  expect(throttle.size).toBe(0);
  expect(await throttle.reserve('admin')).toBeDefined();
});

test('forgets old failures, also while another attempt runs', async () => {
  const { throttle, clock } = throttleAt();
  await throttle.reserve('running');
  for (let i = 0; i < 100; i++) (await throttle.reserve(`user${i}`))?.('wrong');
  clock.nowMs += 2000;
  await throttle.reserve('one more');
  expect(throttle.size).toBe(2);
});
