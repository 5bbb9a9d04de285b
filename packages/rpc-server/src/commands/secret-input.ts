/** Passwords and passphrases of an operator: asked for on the terminal without echo, or a line of standard input. Never an argument. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { read } from 'read';
import { readSecretLine, SecretFileError } from '../secret-file.js';

type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** Nothing usable was given: the message says what was expected. */
export class SecretInputError extends Error {
  readonly code = 'SECRET_INPUT';
}

export class SecretInput {
  readonly #input: () => InputStream;
  readonly #talk: NodeJS.WritableStream;

  /** @param talk gets the prompts: standard error, since standard output is data */
  constructor(input: () => InputStream, talk: NodeJS.WritableStream) {
    this.#input = input;
    this.#talk = talk;
  }

  /**
   * Asks on the terminal; without one, takes the first line of standard input.
   * @param isNew asks twice: a slip of the finger would lock the operator out
   * @throws {SecretInputError} when nothing was given, or two answers differ
   */
  async ask(label: string, isNew: boolean): Promise<string> {
    const input = this.#input();
    if (input.isTTY !== true) return this.#firstLine(input, label);
    const answer = await this.#askOnce(input, `${label}: `);
    if (isNew && (await this.#askOnce(input, `${label}, again: `)) !== answer) {
      throw new SecretInputError(`${label}: the two answers differ`);
    }
    return answer;
  }

  /** Standard input as it is. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#input()) yield Buffer.from(piece);
  }

  async #firstLine(input: InputStream, label: string): Promise<string> {
    const lines = createInterface({ input });
    try {
      for await (const line of lines) {
        if (line !== '') return line;
        break;
      }
    } finally {
      lines.close();
    }
    throw new SecretInputError(`${label}: expected a line on standard input, met none`);
  }

  async #askOnce(input: InputStream, prompt: string): Promise<string> {
    // `read` settles on a line and on Ctrl-C, but not on Ctrl-D, which only pauses the input.
    const watching = new AbortController();
    const paused = once(input, 'pause', { signal: watching.signal });
    try {
      const answer = read({ prompt, silent: true, input, output: this.#talk });
      // A line pauses the input too, just before it is given: it wins if there is one.
      return await Promise.race([
        answer.catch(nothingGiven),
        paused.then(() => setImmediate(), nothingGiven).then(nothingGiven),
      ]);
    } finally {
      watching.abort();
      this.#talk.write('\n');
    }
  }
}

function nothingGiven(): never {
  throw new SecretInputError('nothing was given');
}

/** First line of a file that holds a passphrase. @throws {SecretInputError} naming the file, never what is in it */
export function secretFromFile(option: string, file: string): string {
  try {
    return readSecretLine(file);
  } catch (error) {
    if (!(error instanceof SecretFileError)) throw error;
    throw new SecretInputError(`${option}: ${file} ${error.message}`);
  }
}
