/** A server that speaks just enough of the XenStore protocol to give any answer, those that the real daemon never gives to dom0 among them. */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import {
  decodeMessage,
  encodeMessage,
  HEADER_BYTES,
  MESSAGE_TYPES,
} from '../../src/xenstore/wire.js';
import type { Message } from '../../src/xenstore/wire.js';

/** `ok` with a payload, an errno name, raw bytes instead of a message, or nothing but the end of the connection. */
export type FakeAnswer =
  | { readonly ok: string }
  | { readonly errno: string }
  | { readonly raw: Buffer }
  | 'hang-up';

export class FakeXenstored {
  readonly socketPath: string;
  /** `<type>` of each request that came, in order. */
  readonly requests: number[] = [];
  readonly #folder = new TemporaryFolder('vault-fake-xs');
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: (request: Message) => FakeAnswer) {
    this.socketPath = this.#folder.join('socket');
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      let received = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        let request = decodeMessage(received);
        while (request !== undefined) {
          this.requests.push(request.type);
          reply(socket, request, answer(request));
          received = received.subarray(HEADER_BYTES + request.payload.length);
          request = decodeMessage(received);
        }
      });
    });
  }

  static async start(answer: (request: Message) => FakeAnswer): Promise<FakeXenstored> {
    const fake = new FakeXenstored(answer);
    await new Promise<void>((resolve) => {
      fake.#server.listen(fake.socketPath, resolve);
    });
    return fake;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    await this.#folder.stop();
  }
}

function reply(socket: Socket, request: Message, answer: FakeAnswer): void {
  if (answer === 'hang-up') {
    socket.destroy();
  } else if ('raw' in answer) {
    socket.write(answer.raw);
  } else if ('errno' in answer) {
    const payload = Buffer.from(`${answer.errno}\0`);
    socket.write(encodeMessage({ ...request, type: MESSAGE_TYPES.error, payload }));
  } else {
    socket.write(encodeMessage({ ...request, payload: Buffer.from(answer.ok) }));
  }
}

/** Answers as a store with one value would, but for one type of request. */
export function answering(
  type: number,
  answer: FakeAnswer,
  value = '',
): (request: Message) => FakeAnswer {
  const usual: Readonly<Record<number, FakeAnswer>> = {
    [MESSAGE_TYPES.read]: value === '' ? { errno: 'ENOENT' } : { ok: value },
    [MESSAGE_TYPES.transactionStart]: { ok: '7\0' },
    [MESSAGE_TYPES.transactionEnd]: { ok: 'OK\0' },
    [MESSAGE_TYPES.write]: { ok: 'OK\0' },
    [MESSAGE_TYPES.remove]: { ok: 'OK\0' },
  };
  return (request) =>
    request.type === type ? answer : (usual[request.type] ?? { errno: 'ENOSYS' });
}
