/**
 * Memory of messages: what was received and is not whole, what is worked on, what the client has not
 * read. It is counted by account and in all. Past a budget an account is not read from until it has
 * finished something; where a client lets us wait, it loses the connection that holds most.
 */
import type { LimitName, Limits } from '../limits.js';
import type { Account, Holder } from './account.js';

/** `held` is the client's doing, and may last; `working` ends by itself. */
export type ByteKind = 'held' | 'working';

export type BudgetLimit = Extract<LimitName, `bytesInFlight${string}`>;

export interface ByteBudgetOptions {
  readonly limits: Pick<Limits, BudgetLimit>;
  /** Told of each account that is held up, and of each connection that is ended. */
  readonly onRefusal: (limit: BudgetLimit) => void;
}

/** A connection that holds less is not worth ending for what others work on. */
const WORTH_BYTES = 256 * 1024;

export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  /** Those that hold or work on anything. */
  readonly #active = new Set<Account>();
  readonly #heldUp = new Set<Account>();
  #bytes = 0;
  #strangerBytes = 0;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Of all accounts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param delta more bytes, or fewer */
  change(account: Account, kind: ByteKind, delta: number): void {
    if (delta === 0) return;
    account.bytes += delta;
    this.#bytes += delta;
    if (account.isStranger) this.#strangerBytes += delta;
    if (account.bytes > 0) this.#active.add(account);
    else this.#active.delete(account);
    if (delta > 0) this.#check(account, kind);
    else if (this.#heldUp.size > 0) this.#relax();
  }

  #check(account: Account, kind: ByteKind): void {
    const limit = this.#exceeded(account);
    if (limit === undefined) return;
    // Work ends by itself; but who holds much is not waited for where all are past the budget.
    const isDue = kind === 'held' || (limit === 'bytesInFlight' && !account.isHeld);
    const holder = isDue ? this.#largestHolder(account, limit) : undefined;
    if (holder !== undefined && (kind === 'held' || holder.heldBytes >= WORTH_BYTES)) {
      this.#options.onRefusal(limit);
      holder.drop(`too much in flight: limits.${limit} is ${this.#options.limits[limit]}`);
      return;
    }
    if (account.isPrivileged || account.isHeld) return;
    this.#options.onRefusal(limit);
    this.#heldUp.add(account);
    account.holdReading();
  }

  /** Which budget the account, or all together, are past. */
  #exceeded(account: Account): BudgetLimit | undefined {
    const { bytesInFlight, bytesInFlightOfStrangers } = this.#options.limits;
    if (account.isStranger && this.#strangerBytes > bytesInFlightOfStrangers) {
      return 'bytesInFlightOfStrangers';
    }
    if (!account.isStranger && account.bytes > account.bytesMax) return 'bytesInFlightPerUser';
    return this.#bytes > bytesInFlight ? 'bytesInFlight' : undefined;
  }

  #largestHolder(account: Account, limit: BudgetLimit): Holder | undefined {
    if (limit === 'bytesInFlightPerUser') return largestHolder([account]);
    const isAll = limit === 'bytesInFlight';
    const common = [...this.#active].filter(
      ({ isPrivileged, isStranger }) => !isPrivileged && (isAll || isStranger),
    );
    return largestHolder(common);
  }

  #relax(): void {
    for (const account of this.#heldUp) {
      if (this.#exceeded(account) !== undefined) continue;
      this.#heldUp.delete(account);
      account.goOnReading();
    }
  }
}

function largestHolder(accounts: readonly Account[]): Holder | undefined {
  let largest: Holder | undefined;
  for (const { holders } of accounts) {
    for (const holder of holders) {
      if (holder.heldBytes > (largest?.heldBytes ?? 0)) largest = holder;
    }
  }
  return largest;
}
