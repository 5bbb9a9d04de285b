import { describe, expect, test } from '@jest/globals';
import { setImmediate as nextRound } from 'node:timers/promises';
import { Accounts } from '../../src/admission/account.js';
import type { Account } from '../../src/admission/account.js';
import { Turns } from '../../src/admission/turns.js';
import { resolveLimits } from '../../src/limits.js';

/** Blocks longer than a round of work may take. */
function workHard(): void {
  const untilMs = performance.now() + 15;
  while (performance.now() < untilMs);
}

class Fixture {
  readonly accounts = new Accounts(
    resolveLimits({ callsInFlightPerUser: 8, callsInFlightOfStrangers: 4 }),
  );
  readonly turns = new Turns();
  readonly done: string[] = [];

  user(userId: string, isPrivileged = false): Account {
    return this.accounts.of({ userId, addressKey: '', isPrivileged });
  }

  stranger(addressKey: string): Account {
    return this.accounts.of({ userId: undefined, addressKey, isPrivileged: false });
  }

  submit(
    account: Account,
    name: string,
    work: () => Promise<void> | void = () => undefined,
    credential?: string,
  ): void {
    const named = async (): Promise<void> => {
      this.done.push(name);
      await work();
    };
    this.turns.submit(account, named, credential);
  }

  /** Until nothing is left to do. */
  async settle(count: number): Promise<readonly string[]> {
    // oxlint-disable-next-line no-await-in-loop -- one round after another
    while (this.done.length < count) await nextRound();
    return this.done;
  }
}

describe('work', () => {
  test('begins at once where nobody waits', () => {
    const fixture = new Fixture();
    fixture.submit(fixture.user('a'), 'a');
    expect(fixture.done).toEqual(['a']);
  });

  test('past the time of a round waits for the next, in which others come first', async () => {
    const fixture = new Fixture();
    const [flood, other, admin] = ['flood', 'other', 'admin'].map((name) =>
      fixture.user(name, name === 'admin'),
    ) as [Account, Account, Account];
    for (const name of ['f1', 'f2', 'f3']) fixture.submit(flood, name, workHard);
    fixture.submit(other, 'other', workHard);
    fixture.submit(admin, 'admin');
    expect(fixture.done).toEqual(['f1']);
    expect(await fixture.settle(5)).toEqual(['f1', 'admin', 'f2', 'other', 'f3']);
  });

  test('lets others in between two rounds: a timer, a socket', async () => {
    const fixture = new Fixture();
    const flood = fixture.user('flood');
    for (let i = 0; i < 5; i++) fixture.submit(flood, `${i}`, workHard);
    const seen = await new Promise<number>((resolve) => {
      setTimeout(() => resolve(fixture.done.length), 0);
    });
    expect(seen).toBeLessThan(5);
    await fixture.settle(5);
  });

  test('asked for with one credential runs at most a quarter of a user’s calls at once; all is done in the end', async () => {
    const fixture = new Fixture();
    const account = fixture.user('a');
    const ends: (() => void)[] = [];
    const slow = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
    for (let i = 0; i < 6; i++) fixture.submit(account, `${i}`, slow);
    await nextRound();
    expect(fixture.done).toHaveLength(2);
    for (let i = 0; i < 6; i++) {
      // oxlint-disable-next-line no-await-in-loop -- each end makes room for the next
      await nextRound();
      ends.shift()?.();
    }
    await fixture.settle(6);
    expect(account.running + account.waiting.size).toBeLessThanOrEqual(1);
  });

  test('asked for with several credentials takes turns, whatever waits of one of them', async () => {
    const fixture = new Fixture();
    const account = fixture.user('a', true);
    const busy = fixture.user('busy', true);
    fixture.submit(busy, 'busy', workHard);
    for (const name of ['t1', 't2', 't3', 't4']) fixture.submit(account, name, workHard, 'token');
    fixture.submit(account, 'p1', workHard, 'password');
    fixture.submit(account, 'p2', workHard, 'password');
    expect(await fixture.settle(7)).toEqual(['busy', 't1', 'p1', 't2', 'p2', 't3', 't4']);
  });

  test('of one credential that never ends leaves room for that of others, up to all of the user’s', async () => {
    const fixture = new Fixture();
    const account = fixture.user('a');
    const endless = (): Promise<void> => new Promise(() => undefined);
    for (let i = 0; i < 20; i++) fixture.submit(account, 'token', endless, 'token');
    await fixture.settle(2);
    await nextRound();
    fixture.submit(account, 'password', undefined, 'password');
    expect(await fixture.settle(3)).toEqual(['token', 'token', 'password']);
    await nextRound();
    for (let i = 0; i < 10; i++) fixture.submit(account, `${i}`, endless, `other ${i}`);
    await fixture.settle(9);
    await nextRound();
    expect(account.running).toBe(8);
    expect(account.waiting.size).toBe(18 + 4);
  });

  test('of all strangers together too, and each address has a share', async () => {
    const fixture = new Fixture();
    const ends: (() => void)[] = [];
    const slow = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
    for (let i = 0; i < 6; i++) {
      fixture.submit(fixture.stranger(`${i}`), `${i}a`, slow);
      fixture.submit(fixture.stranger(`${i}`), `${i}b`, slow);
    }
    await nextRound();
    expect(fixture.done).toEqual(['0a', '1a', '2a', '3a']);
    // A user is not held up by them.
    fixture.submit(fixture.user('a'), 'user');
    while (fixture.done.length < 13) {
      ends.shift()?.();
      // oxlint-disable-next-line no-await-in-loop -- each end makes room for the next
      await nextRound();
    }
    expect(new Set(fixture.done).size).toBe(13);
  });
});
