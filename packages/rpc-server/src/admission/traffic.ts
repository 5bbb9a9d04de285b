/** What all connections share: accounts, their turns, and the memory of their messages. */
import type { LimitName, Limits } from '../limits.js';
import { Accounts } from './account.js';
import type { Account, AccountOwner, Holder } from './account.js';
import { ByteBudget } from './byte-budget.js';
import type { ByteKind } from './byte-budget.js';
import { Turns } from './turns.js';

export class Traffic {
  readonly accounts: Accounts;
  readonly turns = new Turns();
  readonly budget: ByteBudget;

  constructor(limits: Limits, onRefusal: (limit: LimitName) => void) {
    this.accounts = new Accounts(limits);
    this.budget = new ByteBudget({ limits, onRefusal });
  }
}

/** One connection's part of it. */
export class TrafficShare {
  readonly #traffic: Traffic;
  readonly #holder: Holder;
  readonly #bytes: Record<ByteKind, number> = { held: 0, working: 0 };
  #account: Account;
  #credential: string | undefined;

  constructor(traffic: Traffic, holder: Holder, owner: AccountOwner) {
    this.#traffic = traffic;
    this.#holder = holder;
    this.#account = traffic.accounts.of(owner);
    this.#credential = owner.credential;
    this.#account.join(holder);
  }

  /** Told when somebody else is signed in, or has other rights. */
  changeOwner(owner: AccountOwner): void {
    const next = this.#traffic.accounts.of(owner);
    const last = this.#account;
    this.#credential = owner.credential;
    if (next === last) return;
    const { held, working } = this.#bytes;
    this.#traffic.budget.change(last, 'working', -(held + working));
    last.leave(this.#holder);
    this.#account = next;
    next.join(this.#holder);
    this.#traffic.budget.change(next, 'working', held + working);
  }

  /** @param bytes that the client lets us wait with now */
  setHeld(bytes: number): void {
    const delta = bytes - this.#bytes.held;
    this.#bytes.held = bytes;
    this.#traffic.budget.change(this.#account, 'held', delta);
  }

  /** Runs work on a message when its turn comes; its bytes count until it has ended. */
  submit(bytes: number, work: () => Promise<void>): void {
    this.#changeWorking(bytes);
    const counted = async (): Promise<void> => {
      try {
        await work();
      } finally {
        this.#changeWorking(-bytes);
      }
    };
    this.#traffic.turns.submit(this.#account, counted, this.#credential);
  }

  /** The connection is closed: what it let us wait with is gone. */
  leave(): void {
    this.setHeld(0);
    this.#account.leave(this.#holder);
  }

  #changeWorking(delta: number): void {
    this.#bytes.working += delta;
    this.#traffic.budget.change(this.#account, 'working', delta);
  }
}
