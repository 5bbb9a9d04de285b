/** Secrets of an operator: from a terminal, and from a pipe. */
import { describe, expect, it } from '@jest/globals';
import { PassThrough, Readable } from 'node:stream';
import { SecretInput } from '../../src/commands/secret-input.js';

const SECRET = 'm4rk3r of a secret';

/** A terminal: answers each prompt with the next line, and keeps what is shown. */
class Terminal {
  readonly input = Object.assign(new PassThrough(), { isTTY: true });
  readonly output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  shown = '';

  constructor(answers: readonly string[]) {
    const left = [...answers];
    this.output.setEncoding('utf8').on('data', (text: string) => {
      this.shown += text;
      if (text.includes(': ')) setImmediate(() => this.input.write(left.shift() ?? '\u0003'));
    });
  }

  ask(isNew: boolean): Promise<string> {
    return new SecretInput(() => this.input, this.output).ask('passphrase', isNew);
  }
}

describe('on a terminal', () => {
  it('is asked for, and not shown', async () => {
    const terminal = new Terminal([`${SECRET}\n`]);
    expect(await terminal.ask(false)).toBe(SECRET);
    expect(terminal.shown).toContain('passphrase: ');
    expect(terminal.shown).not.toContain('m4rk3r');
  });

  it('is asked for twice when it is new', async () => {
    const same = new Terminal([`${SECRET}\n`, `${SECRET}\n`]);
    expect(await same.ask(true)).toBe(SECRET);
    expect(same.shown).toContain('passphrase, again: ');
    const other = new Terminal([`${SECRET}\n`, `${SECRET}!\n`]);
    await expect(other.ask(true)).rejects.toThrow('the two answers differ');
  });
});

describe('without a terminal', () => {
  const ask = (pieces: readonly string[]): Promise<string> =>
    new SecretInput(() => Readable.from(pieces), new PassThrough()).ask('passphrase', true);

  it.each<[string, readonly string[]]>([
    ['a line', [`${SECRET}\n`]],
    ['a line in pieces', ['m4rk3r', ' of a secret\nmore\n']],
    ['a line that does not end', [SECRET]],
    ['a line of another system', [`${SECRET}\r\n`]],
  ])('is %s of standard input', async (_, pieces) => {
    expect(await ask(pieces)).toBe(SECRET);
  });

  it.each<[string, readonly string[]]>([
    ['nothing', []],
    ['an empty line', ['\nsecond\n']],
  ])('is not %s', async (_, pieces) => {
    await expect(ask(pieces)).rejects.toMatchObject({ code: 'SECRET_INPUT' });
  });
});
