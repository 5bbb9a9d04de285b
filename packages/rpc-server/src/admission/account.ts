/** What one user, or the strangers of one address, run and hold at the moment. */
import type { Limits } from '../limits.js';
import { LinesInTurn } from './lines-in-turn.js';

/** Calls that run at once of several accounts together. */
export interface RunningGroup {
  readonly max: number;
  running: number;
  /** Accounts that have work, and wait for room in the group. */
  readonly blocked: Set<Account>;
}

/** A connection as its account sees it. */
export interface Holder {
  /** What its client lets us wait with: a message that is not whole, answers that are not read. */
  readonly heldBytes: number;
  /** Reads nothing more until told to. */
  holdReading(): void;
  goOnReading(): void;
  drop(reason: string): void;
}

export interface AccountOptions {
  readonly isStranger: boolean;
  readonly bytesMax: number;
  readonly runningMax: number;
  /** Of these, those of one credential. */
  readonly credentialMax: number;
  readonly group?: RunningGroup;
}

/** A message's work; it never rejects. */
export type Work = () => Promise<void>;

export class Account {
  readonly isStranger: boolean;
  readonly bytesMax: number;
  readonly runningMax: number;
  readonly credentialMax: number;
  readonly group: RunningGroup | undefined;
  /** Administrators and the local socket: served first, never cut off for others. */
  isPrivileged = false;
  readonly holders = new Set<Holder>();
  /** Messages that wait for their turn, by credential. */
  readonly waiting = new LinesInTurn<Work>();
  running = 0;
  readonly #runningOf = new Map<string, number>();
  /** Received, worked on, not sent yet. */
  bytes = 0;
  isHeld = false;

  constructor(options: AccountOptions) {
    this.isStranger = options.isStranger;
    this.bytesMax = options.bytesMax;
    this.runningMax = options.runningMax;
    this.credentialMax = options.credentialMax;
    this.group = options.group;
  }

  get hasRoom(): boolean {
    const { group } = this;
    return this.running < this.runningMax && (group === undefined || group.running < group.max);
  }

  /** Whether something waits that there is room for. */
  get canGoOn(): boolean {
    return this.hasRoom && this.waiting.some((credential) => this.hasRoomOf(credential));
  }

  get isIdle(): boolean {
    return this.holders.size + this.running + this.waiting.size + this.bytes === 0;
  }

  hasRoomOf(credential: string): boolean {
    return this.hasRoom && (this.#runningOf.get(credential) ?? 0) < this.credentialMax;
  }

  begin(credential: string): void {
    this.#count(credential, 1);
  }

  end(credential: string): void {
    this.#count(credential, -1);
  }

  join(holder: Holder): void {
    this.holders.add(holder);
    if (this.isHeld) holder.holdReading();
  }

  leave(holder: Holder): void {
    if (this.holders.delete(holder) && this.isHeld) holder.goOnReading();
  }

  holdReading(): void {
    this.isHeld = true;
    for (const holder of this.holders) holder.holdReading();
  }

  goOnReading(): void {
    this.isHeld = false;
    for (const holder of this.holders) holder.goOnReading();
  }

  #count(credential: string, delta: 1 | -1): void {
    this.running += delta;
    if (this.group !== undefined) this.group.running += delta;
    const running = (this.#runningOf.get(credential) ?? 0) + delta;
    if (running === 0) this.#runningOf.delete(credential);
    else this.#runningOf.set(credential, running);
  }
}

/** Whose account it is. */
export interface AccountOwner {
  readonly userId: string | undefined;
  /** What the user came in with; of strangers none. */
  readonly credential: string | undefined;
  readonly addressKey: string;
  readonly isPrivileged: boolean;
}

/** Of all strangers' calls those of one address run at most a quarter. */
const ADDRESS_SHARE = 4;
/** Of a user's calls those of one credential: who stole a token leaves the owner three quarters. */
const CREDENTIAL_SHARE = 4;

function shareOf(max: number, shares: number): number {
  return Math.max(1, Math.floor(max / shares));
}

export class Accounts {
  readonly #limits: Limits;
  readonly #accounts = new Map<string, Account>();
  readonly #strangers: RunningGroup;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#strangers = { max: limits.callsInFlightOfStrangers, running: 0, blocked: new Set() };
  }

  of({ userId, addressKey, isPrivileged }: Omit<AccountOwner, 'credential'>): Account {
    const key = userId === undefined ? `address ${addressKey}` : `user ${userId}`;
    const account = this.#accounts.get(key) ?? this.#open(key, userId === undefined);
    account.isPrivileged = isPrivileged;
    return account;
  }

  /** Forgets those that nobody uses: not at once, so that nobody begins anew by reconnecting. */
  prune(): void {
    for (const [key, account] of this.#accounts) {
      if (account.isIdle) this.#accounts.delete(key);
    }
  }

  #open(key: string, isStranger: boolean): Account {
    const limits = this.#limits;
    const ofAddress = shareOf(limits.callsInFlightOfStrangers, ADDRESS_SHARE);
    const account = new Account(
      isStranger
        ? {
            isStranger,
            bytesMax: limits.bytesInFlightOfStrangers,
            runningMax: ofAddress,
            credentialMax: ofAddress,
            group: this.#strangers,
          }
        : {
            isStranger,
            bytesMax: limits.bytesInFlightPerUser,
            runningMax: limits.callsInFlightPerUser,
            credentialMax: shareOf(limits.callsInFlightPerUser, CREDENTIAL_SHARE),
          },
    );
    this.#accounts.set(key, account);
    return account;
  }
}
