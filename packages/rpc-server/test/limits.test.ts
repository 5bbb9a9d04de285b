import { expect, test } from '@jest/globals';
import { LIMITS, resolveLimits } from '../src/limits.js';
import type { LimitName } from '../src/limits.js';

const NAMES = Object.keys(LIMITS) as LimitName[];

test('has the values of the design', () => {
  expect(resolveLimits()).toMatchObject({
    messageBeforeSignInBytes: 65_536,
    messageBytes: 2_097_152,
    batchCalls: 20,
    rightsRecheckMs: 5000,
    throttlingDelayMs: 2000,
    passwordMemoryKiB: 19_456,
    passwordChecksAtOnce: 2,
    transferLifetimeMs: 300_000,
    defaultTokenValidityMs: 2_592_000_000,
    maxTokenValidityMs: 15_778_800_000,
  });
});

test.each(NAMES)('%s has a default within its bounds, and is refused outside them', (name) => {
  const { default: standard, min, max } = LIMITS[name];
  expect(standard).toBeGreaterThanOrEqual(min);
  expect(standard).toBeLessThanOrEqual(max);
  for (const value of [min - 1, max + 1, 1.5, Number.NaN]) {
    expect(() => resolveLimits({ [name]: value })).toThrow(`limit ${name}`);
  }
});
