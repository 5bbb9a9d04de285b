/** One WebSocket: its session, its limits, and the order in which it ends. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Client } from '../admission/client-address.js';
import type { Registered } from '../admission/connection-registry.js';
import type { Limits } from '../limits.js';
import type { Notifications } from '../protocol.js';
import { hasPermission, Session } from '../session/session.js';
import type { Identity } from '../session/session.js';
import type { Caller, Dispatcher } from './dispatcher.js';
import { setMessageLimit } from './message-limit.js';
import { TurnCork } from './turn-cork.js';

/** Close codes of RFC 6455 §7.4.1, and one of the private range. */
const CLOSE_GOING_AWAY = 1001;
const CLOSE_POLICY = 1008;
/** Registered by IANA for a server that has too much to do. */
const CLOSE_TRY_AGAIN = 1013;
const CLOSE_SIGNED_OUT = 4001;
/** Answers that may wait for a stranger: the method list asked for again and again must not fill the memory. */
const UNSENT_BEFORE_SIGN_IN_BYTES = 1024 * 1024;

export interface ConnectionOptions {
  readonly socket: WebSocket;
  /** What the WebSocket writes to. */
  readonly stream: Duplex;
  readonly client: Client;
  /** The user whose valid token was shown at the upgrade: the place is theirs until somebody signs in. */
  readonly vouched?: Pick<Identity, 'userId' | 'permission'> | undefined;
  readonly dispatcher: Dispatcher;
  readonly limits: Limits;
  readonly now: () => number;
  /** Told after each sign-in, sign-out or change of rights. */
  readonly onSessionChange: (connection: Connection) => void;
}

export class Connection implements Caller, Registered {
  readonly session: Session;
  readonly client: Client;
  readonly #options: ConnectionOptions;
  #callsInFlight = 0;
  #usedAtMs: number;
  /** Told when no call is under way any more; set while it closes. */
  #onIdle: (() => void) | undefined;
  readonly #signInDeadline: NodeJS.Timeout;
  readonly #cork: TurnCork;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.client = options.client;
    this.#usedAtMs = options.now();
    this.session = new Session(() => this.#sessionChanged());
    const { socket, stream, limits } = options;
    this.#cork = new TurnCork(stream);
    setMessageLimit(socket, limits.messageBeforeSignInBytes);
    this.#signInDeadline = setTimeout(
      () => socket.close(CLOSE_POLICY, 'no sign-in'),
      limits.signInDeadlineMs,
    );
    this.#signInDeadline.unref();
    socket.on('message', (data) => this.#receive(data));
    socket.once('close', () => clearTimeout(this.#signInDeadline));
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

  get isForwarded(): boolean {
    return this.client.isForwarded;
  }

  get userId(): string | undefined {
    return (this.session.identity ?? this.#options.vouched)?.userId;
  }

  get isAdministrator(): boolean {
    return (this.session.identity ?? this.#options.vouched)?.permission === 'admin';
  }

  get usedAtMs(): number {
    return this.#usedAtMs;
  }

  notify<N extends keyof Notifications>(method: N, params: Notifications[N]): void {
    this.#send(JSON.stringify({ jsonrpc: '2.0', method, params }));
  }

  /** Ends it because user or token is gone. */
  endSession(): void {
    this.#options.socket.close(CLOSE_SIGNED_OUT, 'signed out by the server');
  }

  /**
   * Ends it at once: makes room for somebody else, or a client does not keep to the limits.
   * @param reason for the client, where it still reads
   */
  drop(reason: string): void {
    const { socket } = this.#options;
    socket.close(CLOSE_TRY_AGAIN, reason);
    // The Close frame goes first where the client reads; one that does not is not waited for.
    socket.terminate();
  }

  /** Waits for the calls under way, then closes, and waits for the client's Close. */
  async close(): Promise<void> {
    const { socket } = this.#options;
    if (socket.readyState === socket.CLOSED) return;
    const closed = once(socket, 'close');
    socket.removeAllListeners('message');
    await this.#idle();
    socket.close(CLOSE_GOING_AWAY, 'the server stops');
    await closed;
  }

  #receive(data: RawData): void {
    const { socket, limits, now } = this.#options;
    const expiresAtMs = this.session.identity?.expiresAtMs;
    if (expiresAtMs !== undefined && expiresAtMs <= now()) {
      // As Xen Orchestra: the message that comes after the token's end is not answered.
      this.endSession();
      return;
    }
    this.#usedAtMs = now();
    this.#callsInFlight += 1;
    if (this.#callsInFlight >= limits.callsInFlight) socket.pause();
    // A buffer, because `binaryType` is what `ws` sets it to.
    void this.#answer((data as Buffer).toString());
  }

  async #answer(text: string): Promise<void> {
    const { dispatcher, socket, limits } = this.#options;
    try {
      const answer = await dispatcher.answer(text, this);
      if (answer !== undefined) this.#send(answer);
    } finally {
      this.#callsInFlight -= 1;
      if (socket.isPaused && this.#callsInFlight < limits.callsInFlight) socket.resume();
      if (this.#callsInFlight === 0) this.#onIdle?.();
    }
  }

  async #idle(): Promise<void> {
    if (this.#callsInFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #send(text: string): void {
    const { socket, limits } = this.#options;
    if (socket.readyState !== socket.OPEN) return;
    const isStranger = this.session.identity === undefined;
    const unsentMax = isStranger
      ? Math.min(limits.unsentBytes, UNSENT_BEFORE_SIGN_IN_BYTES)
      : limits.unsentBytes;
    // What comes now counts too for a stranger, whose one batch may ask for much.
    const unsent = socket.bufferedAmount + (isStranger ? text.length : 0);
    if (unsent > unsentMax) {
      socket.terminate();
      return;
    }
    this.#cork.hold();
    // As bytes: a string would be measured first and encoded afterwards.
    socket.send(Buffer.from(text), { binary: false });
  }

  #sessionChanged(): void {
    const { socket, limits, onSessionChange } = this.#options;
    const isSignedIn = this.session.identity !== undefined;
    if (isSignedIn) clearTimeout(this.#signInDeadline);
    const { messageBytes, messageBeforeSignInBytes } = limits;
    setMessageLimit(socket, isSignedIn ? messageBytes : messageBeforeSignInBytes);
    onSessionChange(this);
  }
}
