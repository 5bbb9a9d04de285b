/**
 * How often a password may be guessed, and who waits for whom.
 *
 * A name and an address are a **lane**: one attempt at a time, and after a wrong one a pause. Attempts
 * from addresses that never signed in with the name share a small budget beside that, which refills
 * slowly: a thousand addresses guess no faster than that. An address that signed in with the name
 * before is not held up by what others spend.
 *
 * Whoever comes too early waits for a turn, one attempt a connection, and who failed least has it
 * first: a connection that sends guesses without end keeps nobody out, not even from its own address.
 * The lane is taken *before* the password is checked, so that of a thousand attempts sent at once one
 * is checked. An attempt that is refused pushes no time back; one that ended before the password was
 * compared says nothing of it, and costs nothing.
 *
 * All of it is in memory, bounded, and of this process.
 */
import { normaliseValue } from '@vault/crypto';
import { createHash, randomInt } from 'node:crypto';
import type { Limits } from '../limits.js';

/** Attempts of one name that wait. */
const WAITING_OF_NAME_MAX = 64;
/** Attempts that wait, of all names: each holds a message of a stranger. */
const WAITING_MAX = 256;
/**
 * Names and lanes with a failure that are remembered. Each cost a password check, of which a machine
 * does a hundred a second: what is forgotten for want of room is older than any pause.
 */
const NAMES_MAX = 10_000;
const LANES_MAX = 20_000;
/** A lane's failures count against it this long. */
const FAILURES_KEPT_MS = 3_600_000;

/** `unchecked`: given up before the password was compared, as by a full queue or a Redis that is away. */
export type AttemptOutcome = 'right' | 'wrong' | 'unchecked';

/** Says how an attempt ended, exactly once. */
export type Settle = (outcome: AttemptOutcome) => void;

export interface Attempt {
  /** As typed: names that differ only in case, blanks around or Unicode form are one name. */
  readonly name: string;
  readonly address: string;
  /** What it came over: connections of one address take turns. */
  readonly connection: object;
  /** Whether the address signed in with that name before. */
  readonly isKnown: boolean;
}

export interface ThrottleOptions {
  /** Pause of a lane after a wrong password. */
  readonly delayMs: number;
  /** Longest wait for a turn; 0: who comes too early is refused. */
  readonly waitMs: number;
  /** Wrong passwords of one name from addresses that are not known, until they are slowed. */
  readonly guessesPerName: number;
  /** One more of them is checked after this time. */
  readonly guessIntervalMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface Lane {
  readonly key: string;
  isBusy: boolean;
  /** Attempts that wait for it. */
  waiting: number;
  readyAtMs: number;
  failures: number;
  failedAtMs: number;
}

interface Waiting {
  readonly name: Name;
  readonly lane: Lane;
  readonly connection: object;
  readonly isKnown: boolean;
  readonly deadlineMs: number;
  readonly order: number;
  readonly resolve: (settle: Settle | undefined) => void;
}

interface Name {
  readonly key: string;
  readonly waiting: Set<Waiting>;
  /** Guesses that count against the budget at `spentAtMs`; it falls with time. */
  spent: number;
  spentAtMs: number;
  /** Attempts under way. */
  running: number;
  timer: NodeJS.Timeout | undefined;
}

function digest(text: string): string {
  // A digest: a stranger's names may be long.
  return createHash('sha256').update(text).digest('base64');
}

export class SignInThrottle {
  readonly #options: ThrottleOptions;
  /** In order of the last failure. */
  readonly #names = new Map<string, Name>();
  /** In order of the last failure. */
  readonly #lanes = new Map<string, Lane>();
  readonly #failuresOf = new WeakMap<object, number>();
  /** By connection: one each. */
  readonly #waiting = new Map<object, Waiting>();
  #isStopped = false;

  constructor(options: ThrottleOptions) {
    this.#options = options;
  }

  /** Whether an attempt of that connection waits already: another one is refused unseen. */
  isWaiting(connection: object): boolean {
    return this.#waiting.has(connection);
  }

  /** @returns how to say the outcome; `undefined` when it is too early, and would be for too long */
  reserve({ name, address, connection, isKnown }: Attempt): Promise<Settle | undefined> {
    if (this.isWaiting(connection)) return Promise.resolve(undefined);
    this.#forget();
    const nameKey = digest(normaliseValue(name.trim()));
    const state = this.#nameOf(nameKey);
    const lane = this.#laneOf(digest(`${nameKey} ${address}`));
    const deadlineMs = this.#isStopped ? -Infinity : this.#options.now() + this.#options.waitMs;
    const order = randomInt(2 ** 32);
    return new Promise((resolve) => {
      const waiting = { name: state, lane, connection, isKnown, deadlineMs, order, resolve };
      lane.waiting += 1;
      state.waiting.add(waiting);
      this.#waiting.set(connection, waiting);
      this.#go(state);
      this.#makeRoom(state);
    });
  }

  /** What waits for a connection that is closed is given up. */
  leave(connection: object): void {
    const waiting = this.#waiting.get(connection);
    if (waiting === undefined) return;
    this.#leave(waiting, undefined);
    this.#go(waiting.name);
  }

  /** Refuses all that wait, and from now on who would have to. */
  stop(): void {
    this.#isStopped = true;
    for (const connection of this.#waiting.keys()) this.leave(connection);
  }

  /** Names and lanes that are held now. */
  get size(): number {
    return this.#names.size + this.#lanes.size;
  }

  #nameOf(key: string): Name {
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = {
      key,
      waiting: new Set<Waiting>(),
      spent: 0,
      spentAtMs: this.#options.now(),
      running: 0,
      timer: undefined,
    };
    this.#names.set(key, name);
    return name;
  }

  #laneOf(key: string): Lane {
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const lane = { key, isBusy: false, waiting: 0, readyAtMs: 0, failures: 0, failedAtMs: 0 };
    this.#lanes.set(key, lane);
    return lane;
  }

  /** Lets all go on that may, refuses who would wait too long, and comes back for the others. */
  #go(name: Name): void {
    for (let next = this.#next(name); next !== undefined; next = this.#next(name)) {
      this.#start(next);
    }
    clearTimeout(name.timer);
    let wakeAtMs = Infinity;
    for (const waiting of name.waiting) {
      const atMs = this.#readyAtMs(name, waiting);
      // Behind an attempt under way: its outcome decides.
      if (atMs === undefined) continue;
      if (atMs > waiting.deadlineMs) this.#leave(waiting, undefined);
      else wakeAtMs = Math.min(wakeAtMs, atMs);
    }
    if (wakeAtMs < Infinity) {
      name.timer = setTimeout(() => this.#go(name), Math.max(1, wakeAtMs - this.#options.now()));
      name.timer.unref();
    }
    this.#drop(name);
  }

  /** Of those that may go on now, the one that failed least; among equals by lot. */
  #next(name: Name): Waiting | undefined {
    const nowMs = this.#options.now();
    return [...name.waiting]
      .filter((waiting) => (this.#readyAtMs(name, waiting) ?? Infinity) <= nowMs)
      .toSorted((a, b) => this.#compare(a, b))[0];
  }

  #compare(a: Waiting, b: Waiting): number {
    return (
      a.lane.failures - b.lane.failures ||
      (this.#failuresOf.get(a.connection) ?? 0) - (this.#failuresOf.get(b.connection) ?? 0) ||
      a.order - b.order
    );
  }

  /** When an attempt may go on; `undefined` while the end of another one decides that. */
  #readyAtMs(name: Name, { lane, isKnown }: Waiting): number | undefined {
    if (lane.isBusy) return undefined;
    if (isKnown) return lane.readyAtMs;
    const { guessesPerName, guessIntervalMs, now } = this.#options;
    const missing = this.#spent(name) + 1 - guessesPerName;
    if (missing <= 0) return lane.readyAtMs;
    if (name.running > 0) return undefined;
    return Math.max(lane.readyAtMs, Math.ceil(now() + missing * guessIntervalMs));
  }

  /** Guesses that count against the budget now. */
  #spent(name: Name): number {
    const nowMs = this.#options.now();
    const fallen = (nowMs - name.spentAtMs) / this.#options.guessIntervalMs;
    name.spent = Math.max(0, name.spent - fallen);
    name.spentAtMs = nowMs;
    return name.spent;
  }

  #start(waiting: Waiting): void {
    const { name, lane, connection, isKnown } = waiting;
    const guess = isKnown ? 0 : 1;
    lane.isBusy = true;
    name.running += 1;
    name.spent = this.#spent(name) + guess;
    this.#leave(waiting, (outcome) => {
      lane.isBusy = false;
      name.running -= 1;
      if (outcome === 'wrong') {
        this.#fail(name, lane);
        this.#failuresOf.set(connection, (this.#failuresOf.get(connection) ?? 0) + 1);
      } else {
        name.spent = Math.max(0, this.#spent(name) - guess);
        if (outcome === 'right') {
          lane.failures = 0;
          this.#failuresOf.delete(connection);
        }
        if (lane.failures === 0) lane.readyAtMs = 0;
      }
      this.#go(name);
      this.#dropLane(lane);
    });
  }

  #fail(name: Name, lane: Lane): void {
    const nowMs = this.#options.now();
    lane.failures += 1;
    lane.failedAtMs = nowMs;
    lane.readyAtMs = nowMs + this.#options.delayMs;
    // Deleted and set again: in order of the last failure, which #forget relies on.
    this.#lanes.delete(lane.key);
    this.#lanes.set(lane.key, lane);
    this.#names.delete(name.key);
    this.#names.set(name.key, name);
  }

  #leave(waiting: Waiting, settle: Settle | undefined): void {
    const { name, lane, connection, resolve } = waiting;
    if (!name.waiting.delete(waiting)) return;
    this.#waiting.delete(connection);
    lane.waiting -= 1;
    resolve(settle);
    this.#dropLane(lane);
  }

  /** Where too many wait, who failed most of the name with the most leaves. */
  #makeRoom(newest: Name): void {
    while (newest.waiting.size > WAITING_OF_NAME_MAX || this.#waiting.size > WAITING_MAX) {
      const fullest = [...this.#names.values()].reduce((most, name) =>
        name.waiting.size > most.waiting.size ? name : most,
      );
      const [last] = [...fullest.waiting].toSorted((a, b) => this.#compare(b, a));
      if (last === undefined) return;
      this.#leave(last, undefined);
    }
  }

  #drop(name: Name): void {
    const isIdle = name.waiting.size === 0 && name.running === 0;
    if (isIdle && this.#spent(name) === 0) this.#names.delete(name.key);
  }

  #dropLane(lane: Lane): void {
    if (lane.isBusy || lane.waiting > 0 || lane.failures > 0) return;
    this.#lanes.delete(lane.key);
  }

  /** Drops what is over, and the oldest where there is too much: never what an attempt under way needs. */
  #forget(): void {
    const nowMs = this.#options.now();
    for (const lane of this.#lanes.values()) {
      const isOver = nowMs - lane.failedAtMs >= FAILURES_KEPT_MS && nowMs >= lane.readyAtMs;
      if (!isOver && this.#lanes.size < LANES_MAX) break;
      if (!lane.isBusy && lane.waiting === 0) this.#lanes.delete(lane.key);
    }
    for (const name of this.#names.values()) {
      if (this.#spent(name) > 0 && this.#names.size < NAMES_MAX) break;
      if (name.waiting.size === 0 && name.running === 0) this.#names.delete(name.key);
    }
  }
}

/** One with the limits of the configuration. */
export function throttleOf(limits: Limits, now: () => number): SignInThrottle {
  return new SignInThrottle({
    delayMs: limits.throttlingDelayMs,
    waitMs: limits.throttledWaitMs,
    guessesPerName: limits.guessesPerName,
    guessIntervalMs: limits.guessIntervalMs,
    now,
  });
}
