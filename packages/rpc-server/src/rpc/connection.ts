/** One WebSocket: its session, its limits, and the order in which it ends. */
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Client } from '../admission/client-address.js';
import type { AccountOwner, Holder } from '../admission/account.js';
import type { Registered } from '../admission/connection-registry.js';
import type { Traffic } from '../admission/traffic.js';
import { TrafficShare } from '../admission/traffic.js';
import type { Limits } from '../limits.js';
import type { Notifications } from '../protocol.js';
import { credentialOf, hasPermission, Session } from '../session/session.js';
import type { Identity } from '../session/session.js';
import type { Caller, Dispatcher } from './dispatcher.js';
import { MessageReceiver } from './receiver.js';
import { TurnCork } from './turn-cork.js';

/** Close codes of RFC 6455 §7.4.1, and one of the private range. */
const CLOSE_GOING_AWAY = 1001;
const CLOSE_POLICY = 1008;
/** Registered by IANA for a server that has too much to do. */
const CLOSE_TRY_AGAIN = 1013;
const CLOSE_SIGNED_OUT = 4001;
/** Answers that may wait for a stranger: the method list asked for again and again must not fill the memory. */
const UNSENT_BEFORE_SIGN_IN_BYTES = 1024 * 1024;
/** A client that has so much to read is not read from: it reads first. */
const UNSENT_BEFORE_NEXT_BYTES = 1024 * 1024;
/** What stands in the buffers of a stream anyway is not counted. */
const UNSENT_COUNTED_BYTES = 16 * 1024;
/** A message is in memory as bytes, as text of up to two bytes a character, and as the values in it. */
const MEMORY_FACTOR = 4;

/**
 * Calls that one chunk of 64 KiB brings after the socket was paused: real ones, of 40 bytes and more,
 * and not as many `{}` as fit.
 */
const CHUNK_CALLS_MAX = 1500;

/** Frames that one message may come in, at once: nearly all clients send one; 2 MiB in frames of 2 KiB are these. */
const PIECES_MAX = 1000;
/** 64 KiB in the same. */
const PIECES_BEFORE_SIGN_IN_MAX = 50;

/** Why a connection is not read from. */
type Hold = 'calls' | 'unsent' | 'account';

/** A notification as all who get it are sent it. */
export function notificationBytes<N extends keyof Notifications>(
  method: N,
  params: Notifications[N],
): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params }));
}

export interface ConnectionOptions {
  readonly socket: WebSocket;
  /** What the WebSocket writes to. */
  readonly stream: Duplex;
  readonly client: Client;
  /** The user whose valid token was shown at the upgrade: the place is theirs until somebody signs in. */
  readonly vouched?: Identity | undefined;
  readonly dispatcher: Dispatcher;
  readonly traffic: Traffic;
  readonly limits: Limits;
  readonly now: () => number;
  /** Told after each sign-in, sign-out or change of rights. */
  readonly onSessionChange: (connection: Connection) => void;
}

export class Connection implements Caller, Registered, Holder {
  readonly session: Session;
  /** Whose valid token was shown at the upgrade, until somebody signs in: rechecked as a session is. */
  readonly voucher: Session;
  readonly client: Client;
  readonly #options: ConnectionOptions;
  #callsInFlight = 0;
  #usedAtMs: number;
  /** Told when no call is under way any more; set while it closes. */
  #onIdle: (() => void) | undefined;
  readonly #signInDeadline: NodeJS.Timeout;
  readonly #cork: TurnCork;
  readonly #receiver: MessageReceiver;
  readonly #share: TrafficShare;
  readonly #holds = new Set<Hold>();
  /** Ended by us, at once. */
  #isDropped = false;
  #isGone = false;
  /** When the message began that is not whole yet, or when reading went on; ms of `performance`. */
  #unfinishedSinceMs: number | undefined;
  #unfinishedBytes = 0;
  #unsentBytes = 0;
  /** Bytes that were ever given to the stream. */
  #givenBytes = 0;
  /** Of them those that the client had taken at the last look, and when there were more than before. */
  #takenBytes = 0;
  #takenAtMs = performance.now();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.client = options.client;
    this.#usedAtMs = options.now();
    this.session = new Session(() => this.#sessionChanged());
    this.voucher = new Session(() => this.#ownerChanged(), options.vouched);
    const { socket, stream, limits, traffic } = options;
    this.#share = new TrafficShare(traffic, this, this.#owner);
    this.#cork = new TurnCork(stream);
    this.#receiver = new MessageReceiver(socket, { onFlood: (reason) => this.drop(reason) });
    this.#receiver.limit(limits.messageBeforeSignInBytes);
    this.#receiver.limitPieces(PIECES_BEFORE_SIGN_IN_MAX);
    this.#signInDeadline = setTimeout(
      () => socket.close(CLOSE_POLICY, 'no sign-in'),
      limits.signInDeadlineMs,
    );
    this.#signInDeadline.unref();
    socket.on('message', (data) => this.#receive(data));
    // After the listener of ws, which has made messages of it where they are whole.
    stream.on('data', () => this.#noteUnfinished());
    stream.on('drain', () => this.#noteUnsent());
    socket.once('close', () => {
      clearTimeout(this.#signInDeadline);
      this.#leave();
    });
    // The reason is in the close code that ws sends; an unheard 'error' would end the process.
    socket.on('error', () => undefined);
  }

  get canRead(): boolean {
    const { identity } = this.session;
    return identity !== undefined && hasPermission(identity, 'read');
  }

  get address(): string {
    return this.client.address;
  }

  get isLocal(): boolean {
    return this.client.isLocal;
  }

  get isAtRecoveryDoor(): boolean {
    return this.client.isAtRecoveryDoor;
  }

  get userId(): string | undefined {
    return this.#identity?.userId;
  }

  get credential(): string | undefined {
    return this.#identity && credentialOf(this.#identity);
  }

  get isAdministrator(): boolean {
    return this.#identity?.permission === 'admin';
  }

  get usedAtMs(): number {
    return this.#usedAtMs;
  }

  notify<N extends keyof Notifications>(method: N, params: Notifications[N]): void {
    this.send(notificationBytes(method, params));
  }

  /** A text frame; several connections may send the same bytes. */
  send(bytes: Buffer): void {
    const { socket, limits } = this.#options;
    if (socket.readyState !== socket.OPEN) return;
    const isStranger = this.session.identity === undefined;
    const unsentMax = isStranger
      ? Math.min(limits.unsentBytes, UNSENT_BEFORE_SIGN_IN_BYTES)
      : limits.unsentBytes;
    // What comes now counts too for a stranger, whose one batch may ask for much.
    const unsent = socket.bufferedAmount + (isStranger ? bytes.length : 0);
    if (unsent > unsentMax) {
      this.drop(`answers were not read: limits.unsentBytes is ${limits.unsentBytes}`);
      return;
    }
    this.#cork.hold();
    this.#givenBytes += bytes.length;
    socket.send(bytes, { binary: false });
    this.#noteUnsent();
  }

  /** Ends it because user or token is gone. */
  endSession(): void {
    this.#options.socket.close(CLOSE_SIGNED_OUT, 'signed out by the server');
  }

  get heldBytes(): number {
    return this.#unfinishedBytes + this.#unsentBytes;
  }

  holdReading(): void {
    this.#hold('account');
  }

  goOnReading(): void {
    this.#goOn('account');
  }

  /**
   * Ends it where the client lets us wait too long.
   * @param nowMs of `performance`
   * @returns the limit that it went past
   */
  checkDeadlines(nowMs: number): 'unfinishedMessageMs' | 'unreadAnswerMs' | undefined {
    const { limits } = this.#options;
    const { unfinishedMessageMs, unreadAnswerMs } = limits;
    const isUnfinished = nowMs - (this.#unfinishedSinceMs ?? nowMs) > unfinishedMessageMs;
    if (isUnfinished && this.#holds.size === 0) {
      this.drop(
        `a message was not finished: limits.unfinishedMessage is ${unfinishedMessageMs} ms`,
      );
      return 'unfinishedMessageMs';
    }
    this.#noteUnsent();
    const takenBytes = this.#givenBytes - this.#options.socket.bufferedAmount;
    if (this.#unsentBytes === 0 || takenBytes > this.#takenBytes) {
      this.#takenBytes = takenBytes;
      this.#takenAtMs = nowMs;
    } else if (nowMs - this.#takenAtMs > unreadAnswerMs) {
      this.drop(`answers were not read: limits.unreadAnswer is ${unreadAnswerMs} ms`);
      return 'unreadAnswerMs';
    }
    return undefined;
  }

  /**
   * Ends it at once: makes room for somebody else, or a client does not keep to the limits.
   * @param reason for the client, where it still reads
   */
  drop(reason: string): void {
    const { socket } = this.#options;
    this.#isDropped = true;
    this.#receiver.stop();
    socket.close(CLOSE_TRY_AGAIN, reason);
    // The Close frame goes first where the client reads; one that does not is not waited for.
    socket.terminate();
    this.#leave();
  }

  /** Ends it: nothing that comes is taken any more, and what is under way has nobody to answer. */
  end(reason: string): void {
    this.#isDropped = true;
    this.#options.socket.close(CLOSE_GOING_AWAY, reason);
  }

  /** Waits for the calls under way, then closes, and waits for the client's Close. */
  async close(): Promise<void> {
    const { socket } = this.#options;
    if (socket.readyState === socket.CLOSED) return;
    // Not `once`, which rejects where the client sends nonsense meanwhile.
    const closed = new Promise((resolve) => {
      socket.once('close', resolve);
    });
    socket.removeAllListeners('message');
    await this.#idle();
    socket.close(CLOSE_GOING_AWAY, 'the server stops');
    await closed;
  }

  #receive(data: RawData): void {
    if (this.#isDropped) return;
    const { limits, now } = this.#options;
    const expiresAtMs = this.session.identity?.expiresAtMs;
    if (expiresAtMs !== undefined && expiresAtMs <= now()) {
      // As Xen Orchestra: the message that comes after the token's end is not answered.
      this.endSession();
      return;
    }
    this.#usedAtMs = now();
    this.#unfinishedSinceMs = undefined;
    // Of a paced receiver messages come after the chunk that they were in.
    if (this.#unfinishedBytes > 0) this.#noteUnfinished();
    this.#callsInFlight += 1;
    if (this.#callsInFlight >= limits.callsInFlight) {
      this.#hold('calls');
      const isStranger = this.session.identity === undefined;
      const overMax = isStranger ? 0 : CHUNK_CALLS_MAX;
      if (this.#callsInFlight > limits.callsInFlight + overMax) {
        this.#callsInFlight -= 1;
        this.drop(`too many calls at once: limits.callsInFlight is ${limits.callsInFlight}`);
        return;
      }
    }
    // A buffer, because `binaryType` is what `ws` sets it to.
    const bytes = data as Buffer;
    this.#share.submit(bytes.length * MEMORY_FACTOR, () => this.#answer(bytes));
    this.#receiver.pace(this.#holds.size > 0 || this.#options.traffic.turns.isRoundFull);
  }

  async #answer(bytes: Buffer): Promise<void> {
    const { dispatcher, limits } = this.#options;
    try {
      // It was ended for what it holds, or was a stranger's: nothing waits for an answer any more.
      if (this.#isDropped || (this.#isGone && this.session.identity === undefined)) return;
      const answer = await dispatcher.answer(bytes, this);
      // As bytes: a string would be measured first and encoded afterwards.
      if (answer !== undefined) this.send(Buffer.from(answer));
    } finally {
      this.#callsInFlight -= 1;
      if (this.#callsInFlight < limits.callsInFlight) this.#goOn('calls');
      if (this.#callsInFlight === 0) this.#onIdle?.();
    }
  }

  #hold(reason: Hold): void {
    this.#holds.add(reason);
    this.#options.socket.pause();
  }

  #goOn(reason: Hold): void {
    if (!this.#holds.delete(reason) || this.#holds.size > 0) return;
    // While it was not read from, its client could not finish anything.
    if (this.#unfinishedSinceMs !== undefined) this.#unfinishedSinceMs = performance.now();
    this.#options.socket.resume();
  }

  #noteUnfinished(): void {
    if (this.#isGone) return;
    const bytes = this.#receiver.unfinishedBytes;
    if (bytes > 0) this.#unfinishedSinceMs ??= performance.now();
    else this.#unfinishedSinceMs = undefined;
    if (bytes === this.#unfinishedBytes) return;
    this.#unfinishedBytes = bytes;
    this.#share.setHeld(this.heldBytes);
  }

  #noteUnsent(): void {
    if (this.#isGone) return;
    const { bufferedAmount } = this.#options.socket;
    const bytes = bufferedAmount < UNSENT_COUNTED_BYTES ? 0 : bufferedAmount;
    if (bytes > UNSENT_BEFORE_NEXT_BYTES) this.#hold('unsent');
    else this.#goOn('unsent');
    if (bytes === this.#unsentBytes) return;
    this.#unsentBytes = bytes;
    this.#share.setHeld(this.heldBytes);
  }

  #leave(): void {
    this.#isGone = true;
    this.#unfinishedBytes = 0;
    this.#unsentBytes = 0;
    this.#share.leave();
  }

  async #idle(): Promise<void> {
    if (this.#callsInFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Who is signed in, else whose token was shown. */
  get #identity(): Identity | undefined {
    return this.session.identity ?? this.voucher.identity;
  }

  /** Whose account its calls and its memory count for: also before the sign-in of who showed a token. */
  get #owner(): AccountOwner {
    const { userId, credential, isLocal, isAdministrator } = this;
    const isPrivileged = isLocal || isAdministrator;
    return { userId, credential, addressKey: this.client.key, isPrivileged };
  }

  #sessionChanged(): void {
    const { limits } = this.#options;
    const isSignedIn = this.session.identity !== undefined;
    if (isSignedIn) clearTimeout(this.#signInDeadline);
    if (isSignedIn && this.voucher.identity !== undefined) this.voucher.signOut();
    const { messageBytes, messageBeforeSignInBytes } = limits;
    this.#receiver.limit(isSignedIn ? messageBytes : messageBeforeSignInBytes);
    this.#receiver.limitPieces(isSignedIn ? PIECES_MAX : PIECES_BEFORE_SIGN_IN_MAX);
    this.#ownerChanged();
  }

  #ownerChanged(): void {
    // A sign-in or a comparison of rights may end after the socket: whoever is told of it now never forgets it.
    if (this.#isGone) return;
    this.#share.changeOwner(this.#owner);
    this.#options.onSessionChange(this);
  }
}
