import { expect, test } from '@jest/globals';
import { STEPS_MAX, STEPS_PER_OBJECT } from '../../src/methods/comparison-budget.js';
import { partialMatch } from '../../src/methods/partial-match.js';

function matchesPartially(value: unknown, pattern: unknown): boolean {
  return partialMatch(pattern)(value);
}

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
  [{ a: [1, 2, 2, 'x', null, true] }, { a: [2, null, 2] }, true],
  [{ a: [1, 2, 2] }, { a: [2, 2, 2] }, false],
  [{ a: [1] }, { a: ['1'] }, false],
  [{ a: [{ b: 1 }, { b: 2, c: 3 }] }, { a: [{ c: 3 }, { b: 1 }] }, true],
  [{ a: [{ b: 1 }, { c: 1 }] }, { a: [{ b: 1 }, { b: 1 }] }, false],
  [{ a: [[1, 2], [3], 4] }, { a: [4, [3], [2]] }, true],
  [{ a: [{}, []] }, { a: [[], {}] }, true],
  [{ a: [[]] }, { a: [{}] }, false],
])('%j matches %j: %p', (value, pattern, expected) => {
  expect(matchesPartially(value, pattern)).toBe(expected);
});

/** An array of so many items. */
const many = <Item>(count: number, item: (n: number) => Item): readonly Item[] =>
  Array.from({ length: count }, (_, n) => item(n));

test('counts plain items of long arrays, and compares none with each other', () => {
  const items = many(STEPS_MAX / 4, (n) => n);
  const reversed = items.toReversed();
  expect(matchesPartially({ items }, { items: reversed })).toBe(true);
  expect(matchesPartially({ items }, { items: [...reversed.slice(1), -1] })).toBe(false);
});

test('looks for one object in as many as a record can hold', () => {
  const items = many(100_000, (id) => ({ id }));
  expect(matchesPartially({ items }, { items: [{ id: 99_999 }] })).toBe(true);
});

test.each<[string, (n: number) => unknown]>([
  ['objects', (id) => ({ id })],
  ['arrays', (n) => [n]],
  ['objects in arrays', (id) => [[{ id }]]],
])('refuses to compare thousands of %s with as many others', (_, item) => {
  const value = { items: many(5000, item) };
  const pattern = { items: many(5000, (n) => item(4999 - n)) };
  expect(() => matchesPartially(value, pattern)).toThrow('too many comparisons');
});

test('refuses it also where all that is compared was taken before', () => {
  const items = many(5000, () => ({}));
  expect(() => matchesPartially({ items }, { items })).toThrow('too many comparisons');
});

test('takes a pattern apart once, however many objects it is compared with', () => {
  let reads = 0;
  const pattern = new Proxy(
    { name: 'x' },
    {
      ownKeys: (target) => {
        reads += 1;
        return Reflect.ownKeys(target);
      },
    },
  );
  const matches = partialMatch(pattern);
  expect(many(1000, (n) => ({ name: `${n}` })).some((object) => matches(object))).toBe(false);
  expect(reads).toBe(1);
});

test('each object adds to what a call may take: a long list of small ones is never refused', () => {
  const matches = partialMatch({ tags: [{ name: 'x' }] });
  const object = { tags: many(STEPS_PER_OBJECT / 4, (n) => ({ name: `${n}` })) };
  for (let i = 0; i < (3 * STEPS_MAX) / STEPS_PER_OBJECT; i++) expect(matches(object)).toBe(false);
});

test('what one object may take is not taken by many', () => {
  const matches = partialMatch({ tags: [{ name: 'x' }] });
  const object = { tags: many(10_000, (n) => ({ name: `${n}` })) };
  expect(() => {
    for (let i = 0; i < 100; i++) matches(object);
  }).toThrow('too many comparisons');
});
