import { describe, expect, test } from '@jest/globals';
import { Accounts } from '../../src/admission/account.js';
import type { Account, Holder } from '../../src/admission/account.js';
import { ByteBudget } from '../../src/admission/byte-budget.js';
import { resolveLimits } from '../../src/limits.js';

const MIB = 1024 * 1024;

const LIMITS = resolveLimits({
  bytesInFlight: 4 * MIB,
  bytesInFlightPerUser: 2 * MIB,
  bytesInFlightOfStrangers: MIB,
});

class Fixture {
  readonly refusals: string[] = [];
  readonly accounts = new Accounts(LIMITS);
  readonly budget = new ByteBudget({
    limits: LIMITS,
    onRefusal: (limit) => this.refusals.push(limit),
  });

  account(name: string, isPrivileged = false): Account {
    const [kind, id = ''] = name.split(' ');
    const userId = kind === 'user' ? id : undefined;
    return this.accounts.of({ userId, addressKey: id, isPrivileged });
  }

  holder(account: Account): TestHolder {
    const holder = new TestHolder(this.budget, account);
    account.join(holder);
    return holder;
  }
}

class TestHolder implements Holder {
  heldBytes = 0;
  isHeld = false;
  reason: string | undefined;
  readonly #budget: ByteBudget;
  readonly #account: Account;

  constructor(budget: ByteBudget, account: Account) {
    this.#budget = budget;
    this.#account = account;
  }

  grow(bytes: number): void {
    this.heldBytes += bytes;
    this.#budget.change(this.#account, 'held', bytes);
  }

  holdReading(): void {
    this.isHeld = true;
  }

  goOnReading(): void {
    this.isHeld = false;
  }

  drop(reason: string): void {
    this.reason = reason;
    this.#budget.change(this.#account, 'held', -this.heldBytes);
    this.heldBytes = 0;
  }
}

describe('a user', () => {
  test('past the budget is not read from until work has ended', () => {
    const fixture = new Fixture();
    const account = fixture.account('user a');
    const holder = fixture.holder(account);
    fixture.budget.change(account, 'working', 2 * MIB);
    expect(holder.isHeld).toBe(false);
    fixture.budget.change(account, 'working', 1);
    expect(holder.isHeld).toBe(true);
    expect(fixture.holder(account).isHeld).toBe(true);
    fixture.budget.change(account, 'working', -1);
    expect(holder.isHeld).toBe(false);
    expect(fixture.refusals).toEqual(['bytesInFlightPerUser']);
  });

  test('that lets us wait past the budget loses the connection that holds most', () => {
    const fixture = new Fixture();
    const account = fixture.account('user a');
    const [small, large] = [fixture.holder(account), fixture.holder(account)];
    large.grow(1.5 * MIB);
    small.grow(0.75 * MIB);
    expect(small.reason).toBeUndefined();
    expect(large.reason).toBe('too much in flight: limits.bytesInFlightPerUser is 2097152');
    expect(fixture.budget.bytes).toBe(0.75 * MIB);
  });
});

describe('strangers', () => {
  test('have one budget together, whatever their addresses', () => {
    const fixture = new Fixture();
    const holders = Array.from({ length: 20 }, (_, i) =>
      fixture.holder(fixture.account(`address ${i}`)),
    );
    for (const holder of holders) holder.grow(64 * 1024);
    expect(holders.filter(({ reason }) => reason !== undefined)).toHaveLength(4);
    expect(fixture.budget.bytes).toBeLessThanOrEqual(MIB);
  });

  test('take nothing from users', () => {
    const fixture = new Fixture();
    const user = fixture.holder(fixture.account('user a'));
    user.grow(2 * MIB);
    const stranger = fixture.holder(fixture.account('address 1'));
    stranger.grow(2 * MIB);
    expect(stranger.reason).toContain('limits.bytesInFlightOfStrangers');
    expect(user.reason).toBeUndefined();
  });
});

describe('all together', () => {
  test('past the budget lose the largest, but never an administrator', () => {
    const fixture = new Fixture();
    const admin = fixture.holder(fixture.account('user admin', true));
    admin.grow(2 * MIB);
    const users = ['a', 'b', 'c'].map((name) => fixture.holder(fixture.account(`user ${name}`)));
    users[0]?.grow(0.9 * MIB);
    users[1]?.grow(MIB);
    users[2]?.grow(0.5 * MIB);
    expect(users.map(({ reason }) => reason !== undefined)).toEqual([false, true, false]);
    expect(admin.reason).toBeUndefined();
  });

  test('work is held up only where nobody lets us wait', () => {
    const fixture = new Fixture();
    const slow = fixture.holder(fixture.account('user slow'));
    slow.grow(1.5 * MIB);
    const account = fixture.account('user a');
    const other = fixture.account('user b');
    const holder = fixture.holder(other);
    fixture.budget.change(account, 'working', 2 * MIB);
    fixture.budget.change(other, 'working', MIB);
    expect(slow.reason).toContain('limits.bytesInFlight');
    fixture.budget.change(other, 'working', MIB);
    expect(holder.isHeld).toBe(false);
    fixture.budget.change(fixture.account('user c'), 'working', 1);
    expect(fixture.refusals).toEqual(['bytesInFlight', 'bytesInFlight']);
  });
});
