/**
 * What we need of the receiver of `ws` beyond its interface: the largest message of an open
 * WebSocket, and how much of an unfinished one is held.
 *
 * `ws` fixes the first at the upgrade, when nobody is signed in yet. Its receiver compares each frame's
 * declared length with this number before it reads the payload, so the number itself is changed: the
 * alternative, to let large ones in and then throw them away, would give every stranger that memory.
 * Of partial messages it tells nobody. The fields are internal to `ws`, whose version is pinned; they
 * are checked here, and tests go past each limit.
 */
import type { WebSocket } from 'ws';

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
}

/** Memory of a piece beside its bytes: an enemy may send them one by one. */
const PIECE_BYTES = 512;

function isReceiver(value: unknown): value is Receiver {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Partial<Receiver> = value;
  const { _maxPayload, _bufferedBytes, _messageLength, _buffers, _fragments } = fields;
  const { _allowSynchronousEvents } = fields;
  const numbers = [_maxPayload, _bufferedBytes, _messageLength];
  const areNumbers = numbers.every((field) => typeof field === 'number');
  const areLists = Array.isArray(_buffers) && Array.isArray(_fragments);
  return areNumbers && areLists && typeof _allowSynchronousEvents === 'boolean';
}

export class MessageReceiver {
  readonly #receiver: Receiver;
  #isPaced = false;

  /** @throws TypeError when `ws` has changed inside */
  constructor(socket: WebSocket) {
    const receiver: unknown = Reflect.get(socket, '_receiver');
    if (!isReceiver(receiver)) throw new TypeError('the receiver of ws has other fields now');
    this.#receiver = receiver;
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
}
