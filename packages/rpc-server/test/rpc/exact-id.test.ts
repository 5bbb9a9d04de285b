import { expect, test } from '@jest/globals';
import { exactIds, isInexact, MessageIds, withExactId } from '../../src/rpc/exact-id.js';

test('finds the digits of the id at the top of a request, and nowhere else', () => {
  const text =
    '{"params":{"id":1,"text":"\\"id\\":2"},"jsonrpc":"2.0","id": -9223372036854775808,"method":"m"}';
  expect(exactIds(text)).toEqual(['-9223372036854775808']);
});

test('finds the ids of a batch in the order of its calls', () => {
  const text = ' [{"id":9223372036854775807},{"id":"a"},[{"id":3}],{"x":[1,{"id":4}],"id":5}]';
  expect(exactIds(text)).toEqual(['9223372036854775807', undefined, undefined, '5']);
});

test('takes the last of two ids, as JSON.parse does', () => {
  expect(exactIds('{"id":1,"id":2}')).toEqual(['2']);
});

test.each([
  [9_007_199_254_740_991, false],
  [-9_007_199_254_740_991, false],
  [9_007_199_254_740_992, true],
  [1.5, false],
  ['9223372036854775807', false],
  [null, false],
])('%p may have lost digits: %p', (id, expected) => {
  expect(isInexact(id)).toBe(expected);
});

test('writes the digits in place of the rounded number', () => {
  const answer = { jsonrpc: '2.0', id: 2 ** 63, result: { id: 1 } };
  expect(withExactId(answer, '9223372036854775807')).toBe(
    '{"id":9223372036854775807,"jsonrpc":"2.0","result":{"id":1}}',
  );
});

test('of a batch, the message is looked through once', () => {
  const calls = Array.from({ length: 1000 }, (_, at) => `{"id":${10n ** 18n + BigInt(at)}}`);
  const ids = new MessageIds(`[${calls.join(',')},"${'x'.repeat(1_000_000)}"]`);
  // A thousand times a million characters would take this test past its limit.
  const found = calls.map((_, at) => ids.at(at));
  expect(found).toEqual(calls.map((call) => call.slice(6, -1)));
});
