import { TextDecoder } from 'node:util';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { read } from 'read';
import { InputUnavailableError, InterruptedError } from './errors.js';

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

/** No secret is longer; a stream without a line end must not fill the memory. */
const MAX_LINE_BYTES = 64 * 1024;

/** Where passwords and passphrases come from: the terminal, without echo, or lines of standard input. */
export class SecretInput {
  readonly #input: InputStream;
  readonly #talk: OutputStream;
  readonly #signal: AbortSignal;

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

  /** Asks on the terminal; without one, takes the next line of standard input. */
  async askOrReadLine(label: string): Promise<string> {
    return this.isTerminal ? await this.ask(label) : await this.readLine(label);
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
        `give ${label}=- and the value as a line of standard input`,
      );
    }
    const answer = await this.#askOnce(`${label}: `);
    if (options.isConfirmed === true && (await this.#askOnce(`${label}, again: `)) !== answer) {
      throw new InputUnavailableError(`${label}: the two answers differ`, 'try again');
    }
    return answer;
  }

  /**
   * The next line of standard input, without its line end. What follows stays in the stream, so a file
   * may come behind it.
   *
   * @throws InputUnavailableError when the input ended, is not UTF-8, or the line exceeds 64 KiB.
   */
  async readLine(label: string): Promise<string> {
    const parts: Buffer[] = [];
    let lengthBytes = 0;
    for await (const chunk of this.#chunks()) {
      const end = chunk.indexOf(0x0a);
      const part = end === -1 ? chunk : chunk.subarray(0, end);
      parts.push(part);
      lengthBytes += part.length;
      if (lengthBytes > MAX_LINE_BYTES) throw unusableLine(label, 'holds a line of over 64 KiB');
      if (end === -1) continue;
      const rest = chunk.subarray(end + 1);
      if (rest.length > 0) this.#input.unshift(rest);
      return decodeLine(label, parts);
    }
    if (lengthBytes === 0) throw unusableLine(label, 'ended before it');
    return decodeLine(label, parts);
  }

  /** Chunks as they come. Unlike the stream's own iterator it leaves the stream open when one stops early. */
  async *#chunks(): AsyncGenerator<Buffer, void> {
    for (;;) {
      const chunk = this.#input.read();
      if (chunk !== null) {
        yield Buffer.from(chunk);
        continue;
      }
      if (this.#input.readableEnded === true) return;
      // oxlint-disable-next-line no-await-in-loop -- chunks come one after the other
      await this.#moreInput();
    }
  }

  async #moreInput(): Promise<void> {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#signal]);
    try {
      await Promise.race([
        once(this.#input, 'readable', { signal }),
        once(this.#input, 'end', { signal }),
      ]);
    } catch (error) {
      throw this.#signal.aborted ? new InterruptedError() : error;
    } finally {
      done.abort();
    }
  }

  async #askOnce(prompt: string): Promise<string> {
    // `read` settles on a line and on Ctrl-C, but not on Ctrl-D, which only pauses the input.
    const watching = new AbortController();
    const signal = AbortSignal.any([watching.signal, this.#signal]);
    const paused = once(this.#input, 'pause', { signal });
    try {
      const answer = read({ prompt, silent: true, input: this.#input, output: this.#talk });
      return await Promise.race([answer.catch(interrupted), paused.then(afterLine, interrupted)]);
    } finally {
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

function unusableLine(label: string, problem: string): InputUnavailableError {
  return new InputUnavailableError(
    `${label} was to come from standard input, which ${problem}`,
    'give one line for each value that is read from standard input, in the order of the arguments',
  );
}

function decodeLine(label: string, parts: readonly Buffer[]): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  } catch {
    throw unusableLine(label, 'is not UTF-8 text');
  }
}
