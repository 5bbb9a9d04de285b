import { expect, test } from '@jest/globals';
import { SignInThrottle } from '../../src/session/sign-in-throttle.js';

function throttleAt(): { throttle: SignInThrottle; clock: { nowMs: number } } {
  const clock = { nowMs: 1000 };
  return { throttle: new SignInThrottle({ delayMs: 2000, now: () => clock.nowMs }), clock };
}

test('reserves the name before the outcome is known', () => {
  const { throttle } = throttleAt();
  expect(throttle.reserve('admin')).toBeDefined();
  expect(throttle.reserve('admin')).toBeUndefined();
});

test('takes spellings of one name for one name', () => {
  const { throttle } = throttleAt();
  throttle.reserve('Admin@Example.org');
  expect(throttle.reserve(' admin@example.ORG ')).toBeUndefined();
  throttle.reserve('ﬁsh');
  expect(throttle.reserve('fish')).toBeUndefined();
});

test('refuses for the delay after a failure, and attempts do not push it back', () => {
  const { throttle, clock } = throttleAt();
  throttle.reserve('admin')?.(false);
  clock.nowMs += 1999;
  expect(throttle.reserve('admin')).toBeUndefined();
  clock.nowMs += 1;
  expect(throttle.reserve('admin')).toBeDefined();
});

test('lets the next attempt through at once after a success', () => {
  const { throttle } = throttleAt();
  throttle.reserve('admin')?.(true);
  expect(throttle.reserve('admin')).toBeDefined();
});

test('forgets old failures, also while another attempt runs', () => {
  const { throttle, clock } = throttleAt();
  throttle.reserve('running');
  for (let i = 0; i < 100; i++) throttle.reserve(`user${i}`)?.(false);
  clock.nowMs += 2000;
  throttle.reserve('one more');
  expect(throttle.size).toBe(2);
});
