/** One connection to a XenStore: one request at a time, each within a time limit. */
// oxlint-disable no-await-in-loop -- bytes of one stream follow one another
import { decodeMessage, encodeMessage, MESSAGE_TYPES, PAYLOAD_MAX_BYTES } from './wire.js';
import type { Message } from './wire.js';
import { openTransport } from './transport.js';
import type { Transport } from './transport.js';
import { XenstoreError } from './xenstore-error.js';

export interface XenstoreConnectionOptions {
  /** Sockets or devices, in the order to try. */
  readonly paths: readonly string[];
  /** For opening, and for each request. */
  readonly timeLimitMs: number;
}

const NO_TRANSACTION = 0;

export class XenstoreConnection {
  readonly #transport: Transport;
  readonly #timeLimitMs: number;
  #received: Buffer = Buffer.alloc(0);
  #lastRequestId = 0;

  private constructor(transport: Transport, timeLimitMs: number) {
    this.#transport = transport;
    this.#timeLimitMs = timeLimitMs;
  }

  /** @throws XenstoreError */
  static async open(options: XenstoreConnectionOptions): Promise<XenstoreConnection> {
    const opening = openTransport(options.paths);
    try {
      const transport = await within(options.timeLimitMs, opening);
      return new XenstoreConnection(transport, options.timeLimitMs);
    } catch (error) {
      // One that opens after the limit is of no use to anybody.
      void opening.then(
        (late) => late.close(),
        () => undefined,
      );
      throw error;
    }
  }

  /** @returns the value, which the caller zeroes; `undefined` when XenStore says `ENOENT` */
  async read(path: string, transactionId = NO_TRANSACTION): Promise<Buffer | undefined> {
    try {
      return await this.#request(MESSAGE_TYPES.read, terminated(path), transactionId);
    } catch (error) {
      if (error instanceof XenstoreError && error.errno === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Names of the children. @throws XenstoreError `refused` with `ENOENT` when the node is not there */
  async directory(path: string, transactionId = NO_TRANSACTION): Promise<readonly string[]> {
    const payload = await this.#request(MESSAGE_TYPES.directory, terminated(path), transactionId);
    return payload.toString('utf8').split('\0').slice(0, -1);
  }

  /** Missing parents are made by the daemon. */
  async write(path: string, value: Uint8Array, transactionId: number): Promise<void> {
    const payload = Buffer.concat([terminated(path), value]);
    if (payload.length > PAYLOAD_MAX_BYTES) {
      payload.fill(0);
      throw new XenstoreError('refused', `writing ${path}: E2BIG`, 'E2BIG');
    }
    await this.#request(MESSAGE_TYPES.write, payload, transactionId);
  }

  async remove(path: string, transactionId: number): Promise<void> {
    await this.#request(MESSAGE_TYPES.remove, terminated(path), transactionId);
  }

  /** @returns the transaction's id; it belongs to this connection and ends with it */
  async startTransaction(): Promise<number> {
    const payload = await this.#request(MESSAGE_TYPES.transactionStart, terminated(''));
    const id = Number(payload.toString('latin1').replace('\0', ''));
    if (!Number.isSafeInteger(id) || id <= 0) {
      throw new XenstoreError('protocol', 'a transaction without an id');
    }
    return id;
  }

  /** @throws XenstoreError `refused` with `EAGAIN` when somebody else changed what the transaction read */
  async endTransaction(id: number, end: 'commit' | 'abort'): Promise<void> {
    await this.#request(MESSAGE_TYPES.transactionEnd, terminated(end === 'commit' ? 'T' : 'F'), id);
  }

  async close(): Promise<void> {
    this.#received.fill(0);
    await this.#transport.close();
  }

  /** Zeroes the payload once it is sent. @returns the payload of the answer, a copy */
  async #request(type: number, payload: Buffer, transactionId = NO_TRANSACTION): Promise<Buffer> {
    const requestId = ++this.#lastRequestId;
    const message = encodeMessage({ type, requestId, transactionId, payload });
    payload.fill(0);
    try {
      await within(this.#timeLimitMs, this.#exchange(message));
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      message.fill(0);
    }
    return this.#takeAnswer(type, requestId);
  }

  async #exchange(message: Buffer): Promise<void> {
    await this.#transport.send(message);
    while (this.#decode() === undefined) {
      const chunk = await this.#transport.receive();
      const before = this.#received;
      this.#received = Buffer.concat([before, chunk]);
      before.fill(0);
      chunk.fill(0);
    }
  }

  #decode(): Message | undefined {
    try {
      return decodeMessage(this.#received);
    } catch (error) {
      throw new XenstoreError('protocol', error instanceof RangeError ? error.message : 'decoding');
    }
  }

  #takeAnswer(type: number, requestId: number): Buffer {
    const answer = this.#decode();
    const received = this.#received;
    this.#received = Buffer.alloc(0);
    try {
      if (answer === undefined || answer.requestId !== requestId) {
        throw new XenstoreError('protocol', 'an answer to another request');
      }
      if (answer.type === MESSAGE_TYPES.error) {
        const errno = errnoText(answer.payload);
        throw new XenstoreError('refused', errno, errno);
      }
      if (answer.type !== type) {
        throw new XenstoreError('protocol', `expected type ${type}, met ${answer.type}`);
      }
      return Buffer.from(answer.payload);
    } finally {
      received.fill(0);
    }
  }
}

/** Only an errno name passes: whatever else a false daemon sends must not reach a message. */
function errnoText(payload: Buffer): string {
  const text = payload.toString('latin1').replace('\0', '');
  return /^E[A-Z0-9]{1,15}$/.test(text) ? text : 'an error without a name';
}

function terminated(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8');
}

async function within<T>(timeLimitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new XenstoreError('hung', `${timeLimitMs} ms`)), timeLimitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
