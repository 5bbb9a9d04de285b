import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { JsonSplitError, JsonSplitter } from '../../src/backup/json-splitter.js';
import type { SplitValue } from '../../src/backup/json-splitter.js';

/** Opens objects and arrays two levels deep, and cuts the text into pieces of `pieceBytes`. */
function split(text: string | Buffer, pieceBytes = 1 << 20): SplitValue[] {
  const values: SplitValue[] = [];
  const splitter = new JsonSplitter({
    isOpened: (path) => path.length < 2,
    onValue: (value) => values.push(value),
    valueBytesMax: 1 << 20,
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    splitter.push(bytes.subarray(at, at + pieceBytes));
  }
  splitter.end();
  return values;
}

/** Whether it returns; an error of another class than the expected one comes through. */
function succeeds(work: () => unknown, expected: new () => Error): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof expected) return false;
    throw error;
  }
}

describe('the JSON splitter', () => {
  it('gives the values below the opened objects and arrays, with their path', () => {
    expect(
      split('{"a": 1, "b": {"c": [true, null], "d": "x"}, "e": [1, {"f": 2}, []], "g": {}}'),
    ).toEqual([
      { path: ['a'], value: 1 },
      { path: ['b', 'c'], value: [true, null] },
      { path: ['b', 'd'], value: 'x' },
      { path: ['e', '[]'], value: 1 },
      { path: ['e', '[]'], value: { f: 2 } },
      { path: ['e', '[]'], value: [] },
    ]);
  });

  it('finds the same values however the document is spaced and cut into pieces', () => {
    const document = fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()));
    fc.assert(
      fc.property(
        document,
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom(0, 2),
        (value, size, space) => {
          const expected = Object.entries(value).flatMap(([outer, inner]) =>
            Object.entries(inner).map(([name, each]) => ({ path: [outer, name], value: each })),
          );
          const text = JSON.stringify(value, null, space);
          const parsed = JSON.parse(JSON.stringify(expected)) as unknown;
          expect(split(text, size)).toEqual(parsed);
        },
      ),
    );
  });

  it('takes a text exactly when JSON.parse does', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '1',
      'true',
      ' ',
      '\\',
      'nul',
      '-',
      '"\\""',
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 8 }), (fragments) => {
        const text = fragments.join('');
        const isTaken = succeeds(() => split(text, 1), JsonSplitError);
        const isJson = succeeds(() => JSON.parse(text) as unknown, SyntaxError);
        expect({ text, isTaken }).toEqual({ text, isTaken: isJson });
      }),
      { numRuns: 5000 },
    );
  });

  it('passes over a value beyond the limit, and refuses such a name, and bytes that are not UTF-8', () => {
    const long = `"${'x'.repeat(1 << 20)}"`;
    expect(split(`{"a":${long},"b":1}`, 4096)).toEqual([
      { path: ['a'], value: undefined, isTooLarge: true },
      { path: ['b'], value: 1 },
    ]);
    expect(() => split(`{${long}:1}`, 4096)).toThrow('a name is too large');
    expect(() => split(Buffer.from([0x22, 0xff, 0x22]))).toThrow(JsonSplitError);
  });
});
