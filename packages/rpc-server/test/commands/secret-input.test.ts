/** Secrets of an operator: from a terminal, and from a pipe. */
import { describe, expect, it } from '@jest/globals';
import { PassThrough } from 'node:stream';
import { itTakesOneLineWhole } from '../../../../test/harness/secret-line-contract.js';
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

  it('is refused when several lines are pasted, and not shown', async () => {
    const terminal = new Terminal([`${SECRET}\rm4rk3r of another\r`]);
    await expect(terminal.ask(false)).rejects.toThrow('several were pasted');
    expect(terminal.shown).not.toContain('m4rk3r');
  });
});

describe('without a terminal', () => {
  itTakesOneLineWhole((input) =>
    new SecretInput(() => input, new PassThrough()).ask('passphrase', true),
  );
});
