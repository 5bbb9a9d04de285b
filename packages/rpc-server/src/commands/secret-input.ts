/** Passwords and passphrases of an operator: asked for on the terminal without echo, or the one line of standard input. Never an argument. */
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { read } from 'read';
import { readSecretLine, SecretFileError } from '../secret-file.js';
import { SECRET_LINE_BYTES_MAX, secretLine } from '../secret-line.js';

type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** A text that was pasted: its first line would be taken, and the rest go to the shell. */
const MORE_THAN_A_LINE = /[\r\n][^\r\n]/;

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
   * Asks on the terminal; without one, takes the one line that standard input holds.
   * @param isNew asks twice: a slip of the finger would lock the operator out
   * @throws {SecretInputError} when nothing was given, more than a line was, or two answers differ
   */
  async ask(label: string, isNew: boolean): Promise<string> {
    const input = this.#input();
    if (input.isTTY !== true) return this.#onlyLine(input, label);
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

  /**
   * All of standard input, which is no terminal.
   * @throws {SecretInputError} when it is one, holds nothing, or more than `bytesMax`
   */
  async whole(label: string, bytesMax: number): Promise<Buffer> {
    const input = this.#input();
    if (input.isTTY === true) {
      throw new SecretInputError(`${label}: give it on standard input, such as by < file`);
    }
    const bytes = Buffer.concat(await piecesOf(input, bytesMax));
    if (bytes.length === 0) throw new SecretInputError(`${label}: standard input is empty`);
    if (bytes.length <= bytesMax) return bytes;
    bytes.fill(0);
    throw new SecretInputError(`${label}: expected at most ${bytesMax} bytes on standard input`);
  }

  async #onlyLine(input: InputStream, label: string): Promise<string> {
    const found = secretLine(Buffer.concat(await piecesOf(input, SECRET_LINE_BYTES_MAX)));
    if ('line' in found) return found.line;
    throw new SecretInputError(
      `${label}: expected one line on standard input, which ${found.problem}`,
    );
  }

  async #askOnce(input: InputStream, prompt: string): Promise<string> {
    // `read` settles on a line and on Ctrl-C, but not on Ctrl-D, which only pauses the input.
    const watching = new AbortController();
    const paused = once(input, 'pause', { signal: watching.signal });
    let typed = '';
    const note = (chunk: Buffer | string): void => {
      typed += chunk.toString('latin1');
    };
    input.on('data', note);
    try {
      const answer = read({ prompt, silent: true, input, output: this.#talk });
      // A line pauses the input too, just before it is given: it wins if there is one.
      const line = await Promise.race([
        answer.catch(nothingGiven),
        paused.then(() => setImmediate(), nothingGiven).then(nothingGiven),
      ]);
      if (!MORE_THAN_A_LINE.test(typed)) return line;
      throw new SecretInputError(
        `${prompt}one line was asked for, and several were pasted: clear your terminal`,
      );
    } finally {
      input.off('data', note);
      watching.abort();
      this.#talk.write('\n');
    }
  }
}

/** Reads no more than it takes to know that it is too much. */
async function piecesOf(input: InputStream, bytesMax: number): Promise<readonly Buffer[]> {
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  for await (const piece of input) {
    pieces.push(Buffer.from(piece));
    lengthBytes += piece.length;
    if (lengthBytes > bytesMax) break;
  }
  return pieces;
}

function nothingGiven(): never {
  throw new SecretInputError('nothing was given');
}

/** The one line of a file that holds a passphrase. @throws {SecretInputError} naming the file, never what is in it */
export function secretFromFile(option: string, file: string): string {
  try {
    return readSecretLine(file);
  } catch (error) {
    if (!(error instanceof SecretFileError)) throw error;
    throw new SecretInputError(`${option}: ${file} ${error.message}`);
  }
}
