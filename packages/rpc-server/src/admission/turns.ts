/**
 * Whose message is worked on next. Everybody's turn comes: messages wait by account, and accounts take
 * turns; those of administrators come first. Inside an account credentials take turns, and the calls of
 * one leave room for those of the others. The work of one round of the event loop is cut after some
 * milliseconds, so that sockets are read, health is answered and timers run, whatever has piled up.
 */
import type { Account, Work } from './account.js';

/** Of who is not signed in. */
const NO_CREDENTIAL = '';

/** Work on messages in one round of the event loop. */
const ROUND_MS = 2;
/** Messages taken in one round: taking one costs some microseconds, too. */
const ROUND_MESSAGES = 500;

export class Turns {
  /** Accounts with work that may run, in order of their turn. */
  readonly #ready = new Set<Account>();
  readonly #privileged = new Set<Account>();
  #spentMs = 0;
  #taken = 0;
  #isScheduled = false;

  /** Whether this round has had enough: who can, brings more in the next. */
  get isRoundFull(): boolean {
    return this.#spentMs >= ROUND_MS || this.#taken >= ROUND_MESSAGES;
  }

  /**
   * @param work begins at once where nobody waits
   * @param credential that it was asked for with
   */
  submit(account: Account, work: Work, credential = NO_CREDENTIAL): void {
    this.#taken += 1;
    const isFirst = account.isPrivileged || this.#ready.size === 0;
    const isFree = isFirst && !account.canGoOn && account.hasRoomOf(credential);
    if (isFree && this.#spentMs < ROUND_MS) {
      this.#run(account, work, credential);
      this.#schedule();
      return;
    }
    account.waiting.push(credential, work);
    this.#makeReady(account);
    this.#schedule();
  }

  #makeReady(account: Account): void {
    if (account.waiting.size === 0) return;
    if (account.canGoOn) (account.isPrivileged ? this.#privileged : this.#ready).add(account);
    else if (account.running < account.runningMax) account.group?.blocked.add(account);
  }

  #run(account: Account, work: Work, credential: string): void {
    account.begin(credential);
    const startedMs = performance.now();
    const worked = work();
    this.#spentMs += performance.now() - startedMs;
    void worked.then(() => this.#done(account, credential));
  }

  #done(account: Account, credential: string): void {
    const { group } = account;
    account.end(credential);
    if (group !== undefined) {
      const [blocked] = group.blocked;
      if (blocked !== undefined) {
        group.blocked.delete(blocked);
        this.#makeReady(blocked);
      }
    }
    this.#makeReady(account);
    if (this.#ready.size + this.#privileged.size > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#round());
  }

  #round(): void {
    this.#isScheduled = false;
    this.#spentMs = 0;
    this.#taken = 0;
    while (this.#spentMs < ROUND_MS) {
      const from = this.#privileged.size > 0 ? this.#privileged : this.#ready;
      const [account] = from;
      if (account === undefined) return;
      from.delete(account);
      const next = account.waiting.take((credential) => account.hasRoomOf(credential));
      if (next !== undefined) this.#run(account, next.item, next.key);
      this.#makeReady(account);
    }
    this.#schedule();
  }
}
