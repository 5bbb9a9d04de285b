/**
 * A small connection to the server's own Redis, for a few commands about Redis itself: is it
 * there, who else is connected, stop. Records go through `@vault/redis-store`, never through here.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** An error reply of Redis: its first word is its class (`LOADING`, `ERR`, …). */
export class RedisReplyError extends Error {
  readonly word: string;

  constructor(line: string) {
    super(`Redis answered: ${line}`);
    this.name = 'RedisReplyError';
    this.word = line.split(' ', 1)[0] ?? '';
  }
}

interface Waiting {
  readonly resolve: (reply: string) => void;
  readonly reject: (error: Error) => void;
}

export class ControlConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received = Buffer.alloc(0);
  /** Settles when the connection is closed, by whichever side. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (chunk) => this.#receive(chunk));
    // Each command reports its own failure; 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new Error('Redis closed the connection'));
    });
  }

  /**
   * @returns the connection once it is made
   * @throws NodeJS.ErrnoException `ENOENT` and `ECONNREFUSED` when nothing listens there
   */
  static open(socketPath: string): Promise<ControlConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(socketPath);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new ControlConnection(socket));
      });
    });
  }

  /** Sends one inline command of plain words. @throws {RedisReplyError} */
  command(...words: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('the connection to Redis is closed'));
        return;
      }
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${words.join(' ')}\r\n`);
    });
  }

  /** Lets the process end although the connection is open. */
  unref(): void {
    this.#socket.unref();
  }

  /** Undoes {@link unref}: something is awaited now. */
  ref(): void {
    this.#socket.ref();
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const reply = readReply(this.#received);
      if (reply === undefined) return;
      this.#received = this.#received.subarray(reply.end);
      const waiting = this.#waiting.shift();
      if (reply.isError) waiting?.reject(new RedisReplyError(reply.text));
      else waiting?.resolve(reply.text);
    }
  }
}

/** Reads a simple string, an error, an integer or a bulk string: all that the commands sent here answer. */
function readReply(bytes: Buffer): { text: string; isError: boolean; end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n');
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('utf8', 1, lineEnd);
  const start = lineEnd + 2;
  if (bytes[0] !== '$'.charCodeAt(0)) {
    return { text: line, isError: bytes[0] === '-'.charCodeAt(0), end: start };
  }
  const end = start + Number(line);
  if (bytes.length < end + 2) return undefined;
  return { text: bytes.toString('utf8', start, end), isError: false, end: end + 2 };
}
