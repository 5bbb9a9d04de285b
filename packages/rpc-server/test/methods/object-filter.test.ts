import { expect, test } from '@jest/globals';
import { parseFilter } from '../../src/methods/object-filter.js';

const OBJECT = {
  id: '1',
  type: 'server',
  label: 'Production east',
  port: 443,
  enabled: true,
  tags: ['red', 'blue'],
  nested: { deep: 'water' },
};

test.each([
  ['type:server', true],
  ['type:remote', false],
  ['type:server label:prod', true],
  ['type:server label:west', false],
  ['!label:west', true],
  ['port:443', true],
  ['port:44', false],
  ['enabled:true', true],
  ['tags:blue', true],
  ['nested.deep:water', true],
  ['"production EAST"', true],
  ['label:"production east"', true],
  ['water', true],
  ['', true],
  ['missing:x', false],
])('filter %p: %p', (filter, expected) => {
  expect(parseFilter(filter)(OBJECT)).toBe(expected);
});

test.each(['a:(b|c)', '"open', 'a:b:c'])('refuses %p rather than guess', (filter) => {
  expect(() => parseFilter(filter)).toThrow('invalid parameters');
});

test('takes an object for a partial match, and nothing for everything', () => {
  expect(parseFilter({ type: 'server' })(OBJECT)).toBe(true);
  expect(parseFilter({ port: '443' })(OBJECT)).toBe(false);
  expect(parseFilter(undefined)(OBJECT)).toBe(true);
});

test('a filter has at most a hundred words', () => {
  expect(parseFilter('type:server '.repeat(100))(OBJECT)).toBe(true);
  expect(() => parseFilter('a '.repeat(101))).toThrow('invalid parameters');
});

test.each([
  [`${'a.'.repeat(40)}a:x`, 'names in a property'],
  [`a:${'x'.repeat(201)}`, 'a word of more than 200 characters'],
  [`"${'x'.repeat(201)}"`, 'a word of more than 200 characters'],
  [`${'a.'.repeat(16_000)}a:x`, 'more than 4096 characters'],
  [' '.repeat(5000), 'more than 4096 characters'],
])('refuses what is too long at once: %#', (filter, message) => {
  const problem = expect.objectContaining({ message: expect.stringContaining(message) });
  const wanted = expect.objectContaining({ data: { errors: [problem] } });
  expect(() => parseFilter(filter)).toThrow(wanted);
});

test('a text that takes too long to search in all objects is refused', () => {
  const matches = parseFilter('"aaab" "aaac" "aaad"');
  const object = { id: '1', text: 'a'.repeat(1_000_000) };
  expect(() => {
    for (let i = 0; i < 100; i++) matches({ ...object });
  }).toThrow('too many comparisons');
});

test('small objects are searched however many there are', () => {
  const matches = parseFilter('prod east "red" !west label:prod');
  for (let i = 0; i < 20_000; i++) expect(matches({ ...OBJECT })).toBe(true);
});
