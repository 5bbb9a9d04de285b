import { describe, expect, it } from '@jest/globals';
import { PassThrough, Readable } from 'node:stream';
import { itTakesOneLineWhole } from '../../../test/harness/secret-line-contract.js';
import { SecretInput } from '../src/secret-input.js';

const over = (input: Readable): SecretInput =>
  new SecretInput(input, new PassThrough(), new AbortController().signal);

describe('a prompt for one line, without a terminal', () => {
  itTakesOneLineWhole((input) => over(input).askOrReadOnlyLine('password'));
});

describe('a prompt for the first line', () => {
  it('leaves what follows to the next reader, however it comes', async () => {
    for (const pieces of [['one\ntwo\nthree\n'], ['o', 'ne\n', 'two\nthr', 'ee\n']]) {
      const secrets = over(Readable.from(pieces, { objectMode: false }));
      expect(await secrets.askOrReadFirstLine('password')).toBe('one');
      expect(await secrets.askOrReadAll('value')).toBe('two\nthree');
      await secrets.expectEnd();
    }
  });

  it('finds an error in what follows when nothing takes it', async () => {
    const secrets = over(Readable.from(['one\ntwo\n'], { objectMode: false }));
    await secrets.askOrReadFirstLine('password');
    await expect(secrets.expectEnd()).rejects.toMatchObject({ code: 'INPUT_UNAVAILABLE' });
  });
});

it('does not wait for the end of an input that nothing was read of', async () => {
  await expect(over(new PassThrough()).expectEnd()).resolves.toBeUndefined();
});

it('ends when the input cannot be read', async () => {
  const input = new Readable({
    read() {
      this.destroy(Object.assign(new Error('x'), { code: 'EISDIR' }));
    },
  });
  await expect(over(input).askOrReadAll('value')).rejects.toMatchObject({
    code: 'INPUT_UNAVAILABLE',
    message: expect.stringContaining('cannot be read (EISDIR)'),
  });
});
