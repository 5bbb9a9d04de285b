/**
 * Live connections lose what was taken from their user: every session is compared with the database
 * at least once in `rightsRecheckMs`, also those that only listen.
 */
import type { Authenticator } from './authenticator.js';
import type { Session } from './session.js';

/** Sessions compared in one read. */
const BATCH_SESSIONS = 500;

export interface RightsWatchOptions {
  readonly authenticator: Authenticator;
  readonly recheckMs: number;
  readonly now: () => number;
  /** Told when the database cannot be asked: the calls of a session that is due then fail. */
  readonly onError: (error: unknown) => void;
  /** Told of a session that must end. */
  readonly onEnd: (session: Session) => void;
}

export class RightsWatch {
  readonly #options: RightsWatchOptions;
  readonly #sessions = new Set<Session>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Users whose sessions the next recheck compares. */
  readonly #asked = new Set<string>();
  /** The recheck that did not begin yet. */
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(options: RightsWatchOptions) {
    this.#options = options;
  }

  add(session: Session): void {
    this.#sessions.add(session);
  }

  delete(session: Session): void {
    this.#sessions.delete(session);
  }

  /** Twice as often as promised, so that the read itself has time. */
  start(): void {
    this.#timer ??= setInterval(() => void this.sweep(), this.#options.recheckMs / 2);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Before a call: compares the session now if its last comparison is too old.
   * @returns `undefined` when it is not; the promise rejects when the database cannot be asked
   */
  ensureFresh(session: Session): Promise<void> | undefined {
    const { now, recheckMs } = this.#options;
    if (session.identity === undefined || now() - session.checkedAtMs < recheckMs) return undefined;
    return this.#compare([session]);
  }

  /** Compares all sessions; never rejects. One sweep at a time. */
  sweep(): Promise<void> {
    this.#running ??= this.#sweepNow()
      .catch((error: unknown) => this.#options.onError(error))
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /**
   * Compares the sessions of these users alone, after a change of theirs; never rejects. The reading
   * begins now: one that is under way may have read before the change. All who ask meanwhile share the next.
   */
  recheck(userIds: readonly string[]): Promise<void> {
    for (const userId of userIds) this.#asked.add(userId);
    this.#next ??= this.#last
      .then(() => this.#running)
      .then(() => this.#recheckAsked())
      .catch((error: unknown) => this.#options.onError(error));
    this.#last = this.#next;
    return this.#next;
  }

  async #recheckAsked(): Promise<void> {
    const asked = new Set(this.#asked);
    this.#asked.clear();
    this.#next = undefined;
    const isAsked = ({ identity }: Session): boolean =>
      identity !== undefined && asked.has(identity.userId);
    await this.#compareInBatches([...this.#sessions].filter(isAsked));
  }

  #sweepNow(): Promise<void> {
    return this.#compareInBatches([...this.#sessions]);
  }

  async #compareInBatches(all: readonly Session[]): Promise<void> {
    for (let at = 0; at < all.length; at += BATCH_SESSIONS) {
      // oxlint-disable-next-line no-await-in-loop -- one batch at a time: it must not crowd out calls
      await this.#compare(all.slice(at, at + BATCH_SESSIONS));
    }
  }

  async #compare(sessions: readonly Session[]): Promise<void> {
    const { authenticator, now, onEnd } = this.#options;
    const pairs = sessions.flatMap((session) => {
      const { identity, nextGenerations } = session;
      return identity === undefined ? [] : [{ session, identity, nextGenerations }];
    });
    if (pairs.length === 0) return;
    const nowMs = now();
    const fresh = await authenticator.recheck(pairs);
    for (const [at, { session, identity }] of pairs.entries()) {
      // Somebody else signed in on it meanwhile: that sign-in was fresher than this read.
      if (session.identity !== identity) continue;
      const next = fresh[at];
      if (next === undefined) {
        session.signOut();
        onEnd(session);
      } else {
        session.signIn(next, nowMs);
      }
    }
  }
}
