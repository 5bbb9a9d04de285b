import { expect, test } from '@jest/globals';
import { matchesPartially } from '../../src/methods/partial-match.js';

test.each<[unknown, unknown, boolean]>([
  [{ a: 1, b: 2 }, { a: 1 }, true],
  [{ a: 1 }, { a: 1, b: 2 }, false],
  [{ a: 42 }, { a: '42' }, false],
  [{ a: { b: { c: true, d: 1 } } }, { a: { b: { c: true } } }, true],
  [{ tags: ['x', 'y', 'z'] }, { tags: ['z', 'x'] }, true],
  [{ tags: ['x'] }, { tags: ['x', 'x'] }, false],
  [{ a: null }, { a: null }, true],
  [{ a: null }, { a: {} }, false],
  [{}, { toString: {} }, false],
  [{ a: 1 }, {}, true],
])('%j matches %j: %p', (value, pattern, expected) => {
  expect(matchesPartially(value, pattern)).toBe(expected);
});
