/** Opens a XenStore, whichever way there is: the daemon's Unix socket, or the kernel's device in a guest. */
// oxlint-disable no-await-in-loop -- one path, and one piece of a stream, after the other
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../errors.js';
import { HEADER_BYTES, PAYLOAD_MAX_BYTES } from './wire.js';
import { XenstoreError } from './xenstore-error.js';
import type { XenstoreFailure } from './xenstore-error.js';

/** A byte stream either way. */
export interface Transport {
  /** Resolves when the bytes have left this process, so that they may be zeroed. */
  send(message: Buffer): Promise<void>;
  /** Some bytes, at least one. @throws XenstoreError `down` when the other side went away */
  receive(): Promise<Buffer>;
  /** Ends a waiting {@link receive} too. */
  close(): Promise<void>;
}

/** Tried in this order when no path is given: dom0's socket, then what a guest has. */
export const XENSTORE_PATHS: readonly string[] = [
  '/run/xenstored/socket',
  '/dev/xen/xenbus',
  '/proc/xen/xenbus',
];

/**
 * @param paths each a socket or a device; the first that opens is taken
 * @throws XenstoreError of the path that got furthest: no permission or daemon down tell more than absent
 */
export async function openTransport(paths: readonly string[]): Promise<Transport> {
  let failure: XenstoreError | undefined;
  for (const path of paths) {
    try {
      return await openPath(path);
    } catch (error) {
      const met = openFailure(error, path);
      if (failure === undefined || failure.failure === 'absent') failure = met;
    }
  }
  if (failure !== undefined && failure.failure !== 'absent') throw failure;
  throw new XenstoreError('absent', paths.join(', '));
}

async function openPath(path: string): Promise<Transport> {
  const kind = await stat(path);
  if (kind.isSocket()) return SocketTransport.open(path);
  if (kind.isCharacterDevice()) return DeviceTransport.open(path);
  // A request written into whatever else stands there would be kept by it.
  throw new XenstoreError('protocol', `${path} is neither a socket nor a device`);
}

const OPEN_FAILURES: Readonly<Record<string, XenstoreFailure>> = {
  ENOENT: 'absent',
  ENOTDIR: 'absent',
  ENODEV: 'absent',
  ENXIO: 'absent',
  EACCES: 'denied',
  EPERM: 'denied',
  ECONNREFUSED: 'down',
  ECONNRESET: 'down',
  EPIPE: 'down',
  EAGAIN: 'hung',
};

/**
 * unix(7): a non-blocking connect answers EAGAIN while the queue of the listener is full, and the daemon's is short: a few
 * clients at once fill it. It is asked again for as long as the longest sensible time limit; the caller's own ends sooner.
 */
const QUEUE_FULL_RETRY_MS = 10;
const QUEUE_FULL_RETRIES = 1_000;

function openFailure(error: unknown, path: string): XenstoreError {
  if (error instanceof XenstoreError) return error;
  const errno = errnoOf(error);
  return new XenstoreError(OPEN_FAILURES[errno] ?? 'down', `${path}: ${errno}`);
}

class SocketTransport implements Transport {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #ended: XenstoreError | undefined;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    const end = (detail: string): void => {
      this.#ended ??= new XenstoreError('down', `${path}: ${detail}`);
      this.#wake?.();
    };
    socket.on('error', (error) => end(errnoOf(error)));
    socket.on('close', () => end('it closed the connection'));
  }

  static async open(path: string): Promise<Transport> {
    for (let retriesLeft = QUEUE_FULL_RETRIES; ; retriesLeft -= 1) {
      try {
        return await SocketTransport.#connect(path);
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN' || retriesLeft === 0) throw error;
        await delay(QUEUE_FULL_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  static #connect(path: string): Promise<Transport> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        resolve(new SocketTransport(socket, path));
      });
    });
  }

  async send(message: Buffer): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    await new Promise<void>((resolve) => {
      // A failed write also ends the socket, which the next receive() reports.
      this.#socket.write(message, () => resolve());
    });
  }

  async receive(): Promise<Buffer> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) return chunk;
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): Promise<void> {
    for (const chunk of this.#chunks) chunk.fill(0);
    this.#socket.destroy();
    return Promise.resolve();
  }
}

/** How often a device that has nothing yet is asked again. An answer takes well under a millisecond. */
const DEVICE_POLL_MS = 1;

/**
 * The device is opened without blocking: a blocking read that waits for a hung daemon would hold
 * one of the few threads that Node has for files, with no way to end it.
 */
class DeviceTransport implements Transport {
  readonly #handle: FileHandle;
  readonly #path: string;
  #isClosed = false;

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  static async open(path: string): Promise<Transport> {
    const flags = constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY;
    return new DeviceTransport(await open(path, flags), path);
  }

  async send(message: Buffer): Promise<void> {
    let sent = 0;
    while (sent < message.length) {
      sent += await this.#untilReady(async () => {
        const { bytesWritten } = await this.#handle.write(message, sent);
        return bytesWritten;
      });
    }
  }

  async receive(): Promise<Buffer> {
    const buffer = Buffer.alloc(HEADER_BYTES + PAYLOAD_MAX_BYTES);
    const length = await this.#untilReady(async () => {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, null);
      return bytesRead;
    });
    if (length === 0) throw new XenstoreError('down', `${this.#path}: end of file`);
    return buffer.subarray(0, length);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#handle.close();
  }

  async #untilReady(operation: () => Promise<number>): Promise<number> {
    for (;;) {
      if (this.#isClosed) throw new XenstoreError('down', `${this.#path}: closed`);
      try {
        return await operation();
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') {
          throw new XenstoreError('down', `${this.#path}: ${errnoOf(error)}`);
        }
        await delay(DEVICE_POLL_MS);
      }
    }
  }
}
