import { expect, test } from '@jest/globals';
import {
  decodeBase32,
  matchingStep,
  oneTimePassword,
  stepOf,
} from '../../src/session/one-time-password.js';

const SECRET = Buffer.from('12345678901234567890');

// RFC 4226 appendix D.
test.each([
  [0, '755224'],
  [1, '287082'],
  [2, '359152'],
  [3, '969429'],
  [4, '338314'],
  [5, '254676'],
  [6, '287922'],
  [7, '162583'],
  [8, '399871'],
  [9, '520489'],
])('gives the HOTP value of RFC 4226 for counter %p', (counter, code) => {
  expect(oneTimePassword(SECRET, counter)).toBe(code);
});

// RFC 6238 appendix B, SHA-1, the last six of its eight digits.
test.each([
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
])('gives the TOTP value of RFC 6238 at %p s', (timeS, code) => {
  expect(oneTimePassword(SECRET, stepOf(timeS * 1000))).toBe(code);
});

// RFC 4648 §10.
test.each([
  ['MZXW6YTBOI======', 'foobar'],
  ['mzxw 6ytb', 'fooba'],
  ['', ''],
])('decodes base32 %p', (text, expected) => {
  expect(decodeBase32(text)?.toString()).toBe(expected);
});

test('refuses what is not base32', () => {
  expect(decodeBase32('MZXW1')).toBeUndefined();
});

test('accepts one step of tolerance each way, blanks, and nothing else', () => {
  const nowMs = 1_111_111_109_000;
  const step = stepOf(nowMs);
  for (const offset of [-1, 0, 1]) {
    expect(matchingStep(SECRET, oneTimePassword(SECRET, step + offset), nowMs)).toBe(step + offset);
  }
  expect(matchingStep(SECRET, '081 804', nowMs)).toBe(step);
  expect(matchingStep(SECRET, oneTimePassword(SECRET, step + 2), nowMs)).toBeUndefined();
  expect(matchingStep(SECRET, '', nowMs)).toBeUndefined();
  expect(matchingStep(SECRET, '08180４', nowMs)).toBeUndefined();
});
