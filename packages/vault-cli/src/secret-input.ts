import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { read } from 'read';
import { InputUnavailableError, InterruptedError, systemErrorCode } from './errors.js';
import { MAX_SECRET_BYTES, secretText } from './secret-text.js';

/** A stream that may be a terminal: `process.stdin`, or a plain stream in tests. */
export type InputStream = NodeJS.ReadableStream & {
  readonly isTTY?: boolean;
  readonly readableEnded?: boolean;
};
export type OutputStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly hasColors?: () => boolean;
};

/** No password is longer; a stream without a line end must not fill the memory. */
const MAX_LINE_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;
/** A text that was pasted: its first line would be taken, and the rest go to the shell. */
const MORE_THAN_A_LINE = /[\r\n][^\r\n]/;

/**
 * Where secrets come from: the terminal, without echo, or standard input, of which nothing is dropped. What is left
 * over is an error, said before anything is done with what was read.
 */
export class SecretInput {
  readonly #input: InputStream;
  readonly #talk: OutputStream;
  readonly #signal: AbortSignal;
  /** What took something of standard input. */
  #reader: string | undefined;

  /**
   * @param talk gets the prompts: standard error, since standard output is data.
   * @param signal ends all waiting with an InterruptedError.
   */
  constructor(input: InputStream, talk: OutputStream, signal: AbortSignal) {
    this.#input = input;
    this.#talk = talk;
    this.#signal = signal;
  }

  get isTerminal(): boolean {
    return this.#input.isTTY === true;
  }

  /** Asks on the terminal; without one, the one line that standard input holds. */
  async askOrReadOnlyLine(label: string): Promise<string> {
    if (this.isTerminal) return await this.ask(label);
    const line = await this.#readLine(label);
    await this.expectEnd();
    return line;
  }

  /** Asks on the terminal; without one, the first line of standard input. What follows stays there for others. */
  async askOrReadFirstLine(label: string): Promise<string> {
    return this.isTerminal ? await this.ask(label) : await this.#readLine(label);
  }

  /**
   * Asks on the terminal; without one, all of standard input, see {@link secretText}.
   *
   * @throws InputUnavailableError when it is empty, is not UTF-8 or exceeds 16 MiB.
   */
  async askOrReadAll(label: string): Promise<string> {
    if (this.isTerminal) return await this.ask(label);
    const parts: Buffer[] = [];
    let lengthBytes = 0;
    for await (const chunk of this.#chunks(label)) {
      parts.push(chunk);
      lengthBytes += chunk.length;
      if (lengthBytes > MAX_SECRET_BYTES)
        throw unusableInput(label, 'holds over 16 MiB', VALUE_ADVICE);
    }
    return valueOf(label, parts, VALUE_ADVICE);
  }

  /**
   * Nothing may be left where something was read: whoever wrote it meant it for something.
   *
   * @throws InputUnavailableError when standard input goes on.
   */
  async expectEnd(): Promise<void> {
    if (this.#reader === undefined) return;
    for await (const chunk of this.#chunks(this.#reader)) {
      if (chunk.length === 0) continue;
      throw new InputUnavailableError(
        `standard input goes on behind the line for ${this.#reader}, and nothing takes the rest`,
        'give that line alone; a text of several lines is name=- or name=@file',
      );
    }
  }

  /**
   * Asks on the terminal without echo.
   *
   * @param options.isConfirmed ask twice: for a new secret, whose slip of the finger locks out for ever.
   * @throws InputUnavailableError without a terminal, or when the two answers differ; InterruptedError.
   */
  async ask(label: string, options: { readonly isConfirmed?: boolean } = {}): Promise<string> {
    if (!this.isTerminal) {
      throw new InputUnavailableError(
        `${label}: there is no terminal to ask on`,
        `give ${label}=- and the value on standard input, or ${label}=@file`,
      );
    }
    const answer = await this.#askOnce(`${label}: `);
    if (options.isConfirmed === true && (await this.#askOnce(`${label}, again: `)) !== answer) {
      throw new InputUnavailableError(`${label}: the two answers differ`, 'try again');
    }
    return answer;
  }

  /**
   * The next line of standard input, without its line end. What follows stays in the stream.
   *
   * @throws InputUnavailableError when the line is empty or not there, is not UTF-8, or exceeds 64 KiB.
   */
  async #readLine(label: string): Promise<string> {
    const parts: Buffer[] = [];
    let lengthBytes = 0;
    for await (const chunk of this.#chunks(label)) {
      const end = chunk.indexOf(LINE_FEED);
      const part = end === -1 ? chunk : chunk.subarray(0, end + 1);
      parts.push(part);
      lengthBytes += part.length;
      if (lengthBytes > MAX_LINE_BYTES)
        throw unusableInput(label, 'holds a line of over 64 KiB', LINE_ADVICE);
      if (end === -1) continue;
      const rest = chunk.subarray(end + 1);
      if (rest.length > 0) this.#input.unshift(rest);
      break;
    }
    return valueOf(label, parts, LINE_ADVICE);
  }

  /** Chunks as they come. Unlike the stream's own iterator it leaves the stream open when one stops early. */
  async *#chunks(label: string): AsyncGenerator<Buffer, void> {
    this.#reader = label;
    for (;;) {
      const chunk = this.#input.read();
      if (chunk !== null) {
        yield Buffer.from(chunk);
        continue;
      }
      if (this.#input.readableEnded === true) return;
      // oxlint-disable-next-line no-await-in-loop -- chunks come one after the other
      await this.#moreInput(label);
    }
  }

  async #moreInput(label: string): Promise<void> {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#signal]);
    try {
      await Promise.race([
        once(this.#input, 'readable', { signal }),
        once(this.#input, 'end', { signal }),
      ]);
    } catch (error) {
      if (this.#signal.aborted) throw new InterruptedError();
      // A folder, for example.
      const reason = systemErrorCode(error) ?? 'unexpected error';
      throw unusableInput(label, `cannot be read (${reason})`, VALUE_ADVICE);
    } finally {
      done.abort();
    }
  }

  async #askOnce(prompt: string): Promise<string> {
    // `read` settles on a line and on Ctrl-C, but not on Ctrl-D, which only pauses the input.
    const watching = new AbortController();
    const signal = AbortSignal.any([watching.signal, this.#signal]);
    const paused = once(this.#input, 'pause', { signal });
    let typed = '';
    const note = (chunk: Buffer | string): void => {
      typed += chunk.toString('latin1');
    };
    this.#input.on('data', note);
    try {
      const answer = read({ prompt, silent: true, input: this.#input, output: this.#talk });
      const line = await Promise.race([
        answer.catch(interrupted),
        paused.then(afterLine, interrupted),
      ]);
      if (MORE_THAN_A_LINE.test(typed)) throw severalLines(prompt);
      return line;
    } finally {
      this.#input.off('data', note);
      watching.abort();
      this.#talk.write('\n');
    }
  }
}

/** A line pauses the input too, just before it is given: it wins if there is one. */
async function afterLine(): Promise<never> {
  await setImmediate();
  throw new InterruptedError();
}

/** The one error of `read` is that Ctrl-C cancelled it; that of the waiting is the signal. */
function interrupted(): never {
  throw new InterruptedError();
}

const LINE_ADVICE = 'give it there as one line alone, or run this on a terminal, which asks for it';
const VALUE_ADVICE = 'give the value there, or as name=@file; an empty text is name=json:\'""\'';

function unusableInput(label: string, problem: string, advice: string): InputUnavailableError {
  return new InputUnavailableError(
    `${label} was to come from standard input, which ${problem}`,
    advice,
  );
}

function valueOf(label: string, parts: readonly Buffer[], advice: string): string {
  const found = secretText(parts);
  if ('text' in found) return found.text;
  throw unusableInput(label, parts.length === 0 ? 'ended before it' : found.problem, advice);
}

function severalLines(prompt: string): InputUnavailableError {
  return new InputUnavailableError(
    `${prompt}one line was asked for, and several were pasted`,
    'give a text of several lines as name=@file, or as name=- < file; clear your terminal',
  );
}
