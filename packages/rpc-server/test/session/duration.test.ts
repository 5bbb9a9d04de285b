import { expect, test } from '@jest/globals';
import { parseDurationMs } from '../../src/session/duration.js';

test.each([
  ['1h', 3_600_000],
  ['2 days', 172_800_000],
  ['5 min', 300_000],
  ['1w', 604_800_000],
  ['1y', 31_557_600_000],
  ['1M', 60_000],
  ['60000', 60_000],
  [60_000, 60_000],
])('reads %p', (text, expected) => {
  expect(parseDurationMs(text)).toBe(expected);
});

test.each(['', '1 month', 'soon', 'x'.repeat(101), Number.NaN, Infinity])('refuses %p', (text) => {
  expect(parseDurationMs(text)).toBeUndefined();
});
