import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { UsageError } from '../src/errors.js';
import { parseCallArguments } from '../src/parameters.js';

const name = fc
  .string({ minLength: 1 })
  .filter((text) => !text.includes('=') && text !== '@' && !/(password|passphrase)$/i.test(text));

describe('parseCallArguments', () => {
  it('sends any text under any name as it is', () => {
    const text = fc
      .string()
      .filter(
        (value) =>
          !['-', '?', 'true', 'false'].includes(value) &&
          !value.startsWith('json:') &&
          !value.startsWith('@'),
      );
    fc.assert(
      fc.property(fc.dictionary(name, text), (parameters) => {
        const words = Object.entries(parameters).map(([key, value]) => `${key}=${value}`);
        expect(parseCallArguments(words)).toEqual({
          parameters: new Map(
            Object.entries(parameters).map(([key, value]) => [key, { kind: 'literal', value }]),
          ),
          transferPath: undefined,
        });
      }),
    );
  });

  it('sends any JSON behind json:', () => {
    fc.assert(
      fc.property(name, fc.jsonValue(), (key, value) => {
        const { parameters } = parseCallArguments([`${key}=json:${JSON.stringify(value)}`]);
        const sent = JSON.parse(JSON.stringify(value)) as unknown;
        expect(parameters.get(key)).toEqual({ kind: 'literal', value: sent });
      }),
    );
  });

  it('never shows a value in its error', () => {
    const secret = 'marker-7f3a';
    const wrong = [
      [secret],
      [`=${secret}`],
      [`a=json:{${secret}`],
      [`a=${secret}`, `a=${secret}`],
      ['a=-', `b=${secret}`, 'c=-'],
    ];
    for (const words of wrong) {
      let met: unknown;
      try {
        parseCallArguments(words);
      } catch (error) {
        met = error;
      }
      expect(met).toBeInstanceOf(UsageError);
      expect(String((met as UsageError).stack)).not.toContain(secret);
    }
  });

  it.each([
    ['a=-', 'a', 'input'],
    ['a=?', 'a', 'prompt'],
    ['password=', 'password', 'prompt'],
    ['newPassphrase=', 'newPassphrase', 'prompt'],
    ['a=json:"-"', 'a', 'literal'],
    ['a=', 'a', 'literal'],
  ])('takes %s for a %s of kind %s', (word, key, kind) => {
    expect(parseCallArguments([word]).parameters.get(key)).toMatchObject({ kind });
  });

  it.each([
    ['a=@key.pem', { kind: 'file', path: 'key.pem' }],
    ['a=@/run/key=1.pem', { kind: 'file', path: '/run/key=1.pem' }],
    ['password=@./@', { kind: 'file', path: './@' }],
    ['a=@@', { kind: 'literal', value: '@' }],
    ['a=@@x', { kind: 'literal', value: '@x' }],
    ['a=@@@x', { kind: 'literal', value: '@@x' }],
    ['a=json:"@x"', { kind: 'literal', value: '@x' }],
    ['a=x@y', { kind: 'literal', value: 'x@y' }],
  ])('takes %s for %j', (word, source) => {
    expect([...parseCallArguments([word]).parameters.values()]).toEqual([source]);
  });

  it.each([
    [['a=@'], 'the text @ is a=@@'],
    [['a=@-'], 'standard input is a=-'],
    [['a=-', 'b=1', 'c=-'], 'give one of them as c=@file'],
  ])('refuses %j', (words, advice) => {
    expect(() => parseCallArguments(words)).toThrow(expect.objectContaining({ advice }));
  });

  it('keeps the path of a transfer apart', () => {
    expect(parseCallArguments(['@=a=b.pgp'])).toEqual({
      parameters: new Map(),
      transferPath: 'a=b.pgp',
    });
    expect(() => parseCallArguments(['@='])).toThrow(UsageError);
  });
});
