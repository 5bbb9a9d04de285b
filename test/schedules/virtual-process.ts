/**
 * Processes that live inside the test's own: each has its own clock-driven timers and its own connections to a real
 * Redis, and does nothing that the {@link World} does not let it do. Which process a call belongs to is told by the
 * asynchronous context that it runs in, so the code under test needs no hook.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Redis } from 'ioredis';

/** A command that was sent and has not reached Redis. */
export interface SentCommand {
  readonly text: string;
  /** Keys that it names, as far as one needs to know. */
  readonly keys: readonly string[];
  /** Lets it reach Redis. Never rejects. */
  readonly execute: () => Promise<Answer>;
  readonly answer: (answer: Answer) => void;
}

export type Answer =
  | { readonly isError: false; readonly value: unknown }
  | { readonly isError: true; readonly error: unknown };

export class VirtualTimer {
  readonly process: VirtualProcess;
  readonly fire: () => void;
  readonly everyMs: number | undefined;
  atMs: number;

  constructor(process: VirtualProcess, fire: () => void, atMs: number, everyMs?: number) {
    this.process = process;
    this.fire = fire;
    this.atMs = atMs;
    this.everyMs = everyMs;
  }

  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return false;
  }
}

/** What one simulated process has under way. */
export class VirtualProcess {
  readonly name: string;
  readonly clock: () => number;
  /** In the order in which they were sent; a connection keeps it. */
  readonly sent: SentCommand[] = [];
  readonly answers: { readonly to: SentCommand; readonly answer: Answer }[] = [];
  readonly timers = new Set<VirtualTimer>();
  /** Clients that wait for their turn to call. */
  readonly turns: (() => void)[] = [];
  isDead = false;
  /** It does nothing, and learns nothing, before that time. */
  asleepUntilMs = 0;
  /** Connections that it made. */
  readonly clients = new Set<Redis>();
  /** Connections being made: the one thing that takes real time. */
  connecting = 0;

  constructor(name: string, clock: () => number) {
    this.name = name;
    this.clock = clock;
  }

  /** Runs something as this process. */
  run<T>(program: () => T): T {
    return context.run(this, program);
  }

  /** Waits until the scheduler lets a client of this process make its next call. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.turns.push(resolve);
    });
  }
}

const context = new AsyncLocalStorage<VirtualProcess | undefined>();

/** Runs something outside every process: it is not held up. */
export function outside<T>(program: () => T): T {
  return context.run(undefined, program);
}

/** The parts of a command of ioredis that are needed here. */
type RedisCommand = Parameters<Redis['sendCommand']>[0];
/** As the client library makes a command ready for another answer. */
interface Resendable {
  initPromise(): void;
}

/**
 * From now on, timers, clocks and commands that belong to a virtual process are the world's to let go; all others are as
 * they were.
 * @returns takes it back
 */
export function installGates(): () => void {
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  const { now } = Date;
  // oxlint-disable-next-line typescript/unbound-method -- each is called on the client that it was taken from
  const { sendCommand, connect, disconnect } = Redis.prototype;

  const timer = (isRepeated: boolean) =>
    function virtualTimer(callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) {
      const process = context.getStore();
      if (process === undefined) {
        return (isRepeated ? setInterval : setTimeout)(callback, ms, ...args);
      }
      const fire = (): void => process.run(() => callback(...args));
      const made = new VirtualTimer(
        process,
        fire,
        process.clock() + ms,
        isRepeated ? ms : undefined,
      );
      process.timers.add(made);
      return made;
    };
  const clear = (real: (id?: NodeJS.Timeout) => void) =>
    function clearVirtual(id?: NodeJS.Timeout | VirtualTimer) {
      if (id instanceof VirtualTimer) id.process.timers.delete(id);
      else real(id);
    };
  Object.assign(globalThis, {
    setTimeout: timer(false),
    setInterval: timer(true),
    clearTimeout: clear(clearTimeout),
    clearInterval: clear(clearInterval),
  });
  Date.now = () => context.getStore()?.clock() ?? now();

  Redis.prototype.sendCommand = function gated(this: Redis, command: RedisCommand, ...rest: []) {
    const process = context.getStore();
    if (process === undefined) return sendCommand.call(this, command, ...rest);
    return new Promise((resolve, reject) => {
      const { name, args } = command;
      const isScript = name === 'evalsha' || name === 'eval';
      const keys = isScript ? args.slice(2, 2 + Number(args[1])) : args.slice(0, 1);
      let wasSent = false;
      process.sent.push({
        text: `${name} ${keys.slice(0, 2).map(String).join(' ')}`,
        keys: keys.map(String),
        execute: () =>
          outside(async (): Promise<Answer> => {
            // What is sent again gets an answer of its own, and not the one that was lost.
            if (wasSent) (command as unknown as Resendable).initPromise();
            wasSent = true;
            try {
              return { isError: false, value: await sendCommand.call(this, command) };
            } catch (error) {
              return { isError: true, error };
            }
          }),
        answer: (answer) => {
          if (answer.isError) reject(answer.error);
          else resolve(answer.value);
        },
      });
    });
  };
  Redis.prototype.connect = async function ungated(this: Redis, ...rest) {
    const process = context.getStore();
    if (process !== undefined) {
      process.connecting += 1;
      process.clients.add(this);
    }
    try {
      return await outside(() => connect.apply(this, rest));
    } finally {
      if (process !== undefined) process.connecting -= 1;
    }
  };
  Redis.prototype.disconnect = function ungated(this: Redis, ...rest) {
    return outside(() => disconnect.apply(this, rest));
  };
  return () => {
    Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval });
    Date.now = now;
    Object.assign(Redis.prototype, { sendCommand, connect, disconnect });
  };
}
