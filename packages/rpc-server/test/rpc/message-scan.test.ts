import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { scanMessage } from '../../src/rpc/message-scan.js';

/** Values and depth, counted the slow way. */
function countOf(value: unknown): { values: number; depth: number } {
  if (typeof value !== 'object' || value === null) return { values: 1, depth: 0 };
  const inner = Object.values(value).map(countOf);
  const depth = Math.max(0, ...inner.map((each) => each.depth));
  return { values: inner.reduce((sum, each) => sum + each.values, 1), depth: depth + 1 };
}

const scan = (text: string, values: number, depth: number) =>
  scanMessage(Buffer.from(text), { values, depth });

describe('a message', () => {
  test('passes with as many values and as deep as allowed, and is refused past either', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(3), (value, indent) => {
        const { values, depth } = countOf(value);
        const text = JSON.stringify(value, null, indent);
        expect(scan(text, values, depth)).toBeUndefined();
        expect(scan(text, values - 1, depth)).toBe('values');
        expect(scan(text, values, depth - 1)).toBe(depth > 0 ? 'depth' : undefined);
      }),
    );
  });

  test.each([
    ['brackets in a text', '["[[[{{{,,,::"]', 2, 1],
    ['a quote in a text', '["a\\"[[[", 1]', 3, 1],
    ['a backslash that ends a text', '["a\\\\", [1]]', 4, 2],
    ['names are no values', '{"a":1,"b":"c"}', 3, 1],
  ])('%s', (_, text, values, depth) => {
    expect(scan(text, values, depth)).toBeUndefined();
    expect(scan(text, values - 1, depth)).toBe('values');
  });

  test.each(['"', '"\\', '[', '{"a', '', ']]]', '1 2', ':::'])('cut off, as %j, ends', (text) => {
    expect(scan(text, 10, 10)).toBeUndefined();
  });

  test.each([
    ['['.repeat(2 ** 21), 'depth'],
    [`[${'[],'.repeat(700_000)}1]`, 'values'],
    ['1 '.repeat(2 ** 20), 'values'],
  ])('of 2 MiB is refused after its first few thousand bytes', (text, past) => {
    const bytes = Buffer.from(text);
    let last = 0;
    const watched = new Proxy(bytes, {
      get: (target, name) => {
        if (typeof name === 'string' && /^\d+$/.test(name)) last = Number(name);
        return Reflect.get(target, name) as unknown;
      },
    });
    expect(scanMessage(watched, { values: 1000, depth: 36 })).toBe(past);
    expect(last).toBeLessThan(10_000);
  });
});
