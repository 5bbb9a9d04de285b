/**
 * What we need of the receiver of `ws` beyond its interface: the largest message of an open
 * WebSocket, how much of an unfinished one is held, and how many frames come that are no message.
 *
 * `ws` fixes the first at the upgrade, when nobody is signed in yet. Its receiver compares each frame's
 * declared length with this number before it reads the payload, so the number itself is changed: the
 * alternative, to let large ones in and then throw them away, would give every stranger that memory.
 * Of partial messages it tells nobody, and a chunk of 64 KiB may have 10 000 pongs, or empty pieces of
 * a message, all read at once whatever becomes of the socket: so its reading of a frame's head is
 * wrapped, where it can be stopped. The fields are internal to `ws`, whose version is pinned; they
 * are checked here, and tests go past each limit.
 */
import type { WebSocket } from 'ws';
import { TokenBucket } from '../admission/token-bucket.js';

/** Fields of the receiver. */
interface Receiver {
  readonly _maxPayload: number;
  /** Whether all messages of one chunk are given at once, else each in a round of the event loop. */
  readonly _allowSynchronousEvents: boolean;
  /** Of frames that are not whole yet. */
  readonly _bufferedBytes: number;
  readonly _buffers: readonly Buffer[];
  /** Of whole frames of a message that is not. */
  readonly _messageLength: number;
  readonly _fragments: readonly Buffer[];
  /** Of the frame whose head was read. */
  readonly _opcode: number;
  /** Opcode of the message whose last piece has not begun, else 0. */
  readonly _fragmented: number;
  /** Reads the head of a frame; waits for more bytes where there are fewer than two. */
  readonly getInfo: (done: ReadHead) => void;
  /** Marks it as failed, and ends its loop. */
  readonly createError: (
    constructor: typeof RangeError,
    message: string,
    isPrefixed: boolean,
    closeCode: number,
    errorCode: string,
  ) => Error;
}

type ReadHead = (error?: Error) => void;

/** Bytes of the head of a frame that `getInfo` reads. */
const HEAD_BYTES = 2;
/** Pings and pongs: somebody's keeping alive takes one in some seconds. We ask for no pong. */
const CONTROL_FRAMES = { burst: 60, perSecond: 2 };
const BINARY_OPCODE = 2;
const PING_OPCODE = 9;
const CLOSE_POLICY = 1008;

/** Memory of a piece beside its bytes: an enemy may send them one by one. */
const PIECE_BYTES = 512;

function isReceiver(value: unknown): value is Receiver {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Partial<Receiver> = value;
  const { _maxPayload, _bufferedBytes, _messageLength, _buffers, _fragments } = fields;
  const { _allowSynchronousEvents, _opcode, _fragmented, getInfo, createError } = fields;
  const numbers = [_maxPayload, _bufferedBytes, _messageLength, _opcode, _fragmented];
  const areNumbers = numbers.every((field) => typeof field === 'number');
  const areLists = Array.isArray(_buffers) && Array.isArray(_fragments);
  const areMethods = [getInfo, createError].every((field) => typeof field === 'function');
  return areNumbers && areLists && areMethods && typeof _allowSynchronousEvents === 'boolean';
}

export interface MessageReceiverOptions {
  /** Told, with the reason for the client, of a socket that sends too many frames that are no message: nothing more is read. */
  readonly onFlood: (reason: string) => void;
}

export class MessageReceiver {
  readonly #receiver: Receiver;
  readonly #options: MessageReceiverOptions;
  #isPaced = false;
  #isStopped = false;
  #control: TokenBucket | undefined;
  #pieces: TokenBucket | undefined;
  #piecesMax = 1;

  /** @throws TypeError when `ws` has changed inside */
  constructor(socket: WebSocket, options: MessageReceiverOptions) {
    const receiver: unknown = Reflect.get(socket, '_receiver');
    if (!isReceiver(receiver)) throw new TypeError('the receiver of ws has other fields now');
    this.#receiver = receiver;
    this.#options = options;
    const readHead = receiver.getInfo.bind(receiver);
    Reflect.set(receiver, 'getInfo' satisfies keyof Receiver, (done: ReadHead) =>
      this.#readHead(readHead, done),
    );
  }

  /** Nothing more is read, not even what came in the same chunk. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Frames at once, and a tenth of it each second, that hold a message in pieces. */
  limitPieces(count: number): void {
    this.#piecesMax = count;
    this.#pieces = undefined;
  }

  /** A longer message ends the connection with close code 1009. */
  limit(bytes: number): void {
    Reflect.set(this.#receiver, '_maxPayload' satisfies keyof Receiver, bytes);
  }

  /**
   * One message in each round of the event loop, where there are many: a chunk of 64 KiB has up to
   * 8 000, and `ws` gives them all at once, also after `pause()`.
   */
  pace(isPaced: boolean): void {
    if (isPaced === this.#isPaced) return;
    this.#isPaced = isPaced;
    Reflect.set(this.#receiver, '_allowSynchronousEvents' satisfies keyof Receiver, !isPaced);
  }

  /** Memory of the message that has begun and not ended; 0 between messages. */
  get unfinishedBytes(): number {
    const { _bufferedBytes, _buffers, _messageLength, _fragments } = this.#receiver;
    const pieces = _buffers.length + _fragments.length;
    return pieces === 0 ? 0 : _bufferedBytes + _messageLength + pieces * PIECE_BYTES;
  }

  #readHead(readHead: Receiver['getInfo'], done: ReadHead): void {
    const receiver = this.#receiver;
    const { _bufferedBytes } = receiver;
    const isWhole = _bufferedBytes >= HEAD_BYTES;
    if (isWhole && !this.#isStopped) {
      readHead(done);
      const flood = this.#flood();
      if (flood === undefined) return;
      this.#options.onFlood(flood);
    } else if (!isWhole) {
      readHead(done);
      return;
    }
    const message = 'nothing more is read of this socket';
    done(receiver.createError(RangeError, message, false, CLOSE_POLICY, 'VAULT_STOPPED'));
  }

  /** @returns what is too much with the frame whose head was read */
  #flood(): string | undefined {
    const { _opcode, _fragmented } = this.#receiver;
    if (_opcode >= PING_OPCODE) {
      // One in a round of the event loop: a ping is answered by a write to the kernel.
      this.pace(true);
      this.#control ??= new TokenBucket(CONTROL_FRAMES, performance.now());
      if (this.#control.take(performance.now())) return undefined;
      return `too many pings or pongs: at most ${CONTROL_FRAMES.burst} at once, ${CONTROL_FRAMES.perSecond} a second`;
    }
    // A whole message, which is counted as a call, or a Close.
    if (_fragmented === 0 || _opcode > BINARY_OPCODE) return undefined;
    const burst = this.#piecesMax;
    this.#pieces ??= new TokenBucket({ burst, perSecond: burst / 10 }, performance.now());
    return this.#pieces.take(performance.now())
      ? undefined
      : `too many pieces of messages: at most ${burst} at once, ${burst / 10} a second`;
  }
}
