/** What happens between the process and Redis, at the n-th request or reply. */
import { connect } from 'node:net';
import { once } from 'node:events';
import type { Passage, Verdict } from '../harness/tcp-proxy.js';
import type { CrashStage } from './crash-stage.js';
import type { StoreProcess } from './store-process.js';

export interface RedisFault {
  readonly name: string;
  /** What happens at a passage, which is the `n`-th of its direction. */
  readonly at: Passage['direction'];
  readonly strike: (hit: Hit) => Verdict | Promise<Verdict>;
  /** It goes on: every later passage is struck too. */
  readonly goesOn?: true;
  /** Ends it, before the next start. */
  readonly end?: (stage: CrashStage) => Promise<unknown>;
}

/** Where a fault strikes. */
interface Hit {
  readonly stage: CrashStage;
  readonly child: StoreProcess;
  readonly frame: Buffer;
  /** Keeps the command, to be sent to Redis when the next start is through. */
  readonly keep: () => void;
}

const crash = async ({ stage }: Hit): Promise<Verdict> => {
  await stage.crashRedis();
  return 'cut';
};

/** Redis refuses everything with the error reply that it gives when it really is in that state. */
function refusal(message: string): RedisFault {
  const script = `return redis.error_reply('${message}')`;
  const instead = requestOf(['EVAL', script, '0']);
  const [word] = message.split(' ');
  const strike = (): Verdict => ({ instead });
  return { name: `${word}, from a command on`, at: 'request', goesOn: true, strike };
}

function requestOf(words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`);
}

export const REDIS_FAULTS: readonly RedisFault[] = [
  {
    name: 'SIGKILL before a command, which comes late',
    at: 'request',
    strike: ({ child, keep }) => {
      child.kill();
      keep();
      return 'cut';
    },
  },
  {
    name: 'SIGKILL before a reply',
    at: 'reply',
    strike: ({ child }) => {
      child.kill();
      return 'cut';
    },
  },
  { name: 'connection cut inside a command', at: 'request', strike: () => 'cutInside' },
  { name: 'connection cut inside a reply', at: 'reply', strike: () => 'cutInside' },
  { name: 'command swallowed', at: 'request', strike: () => 'swallow' },
  { name: 'reply swallowed', at: 'reply', strike: () => 'swallow' },
  { name: 'command delayed', at: 'request', strike: () => ({ delayMs: 60 }) },
  { name: 'Redis killed before a command', at: 'request', strike: crash },
  { name: 'Redis killed before a reply', at: 'reply', strike: crash },
  {
    name: 'out of memory, from a command on',
    at: 'request',
    strike: async ({ stage }): Promise<Verdict> => {
      await stage.client.config('SET', 'maxmemory', '1');
      return 'pass';
    },
    end: (stage) => stage.client.config('SET', 'maxmemory', '0'),
  },
  {
    name: 'made a replica of nobody, at a command',
    at: 'request',
    strike: async ({ stage }): Promise<Verdict> => {
      await stage.client.replicaof('127.0.0.1', '1');
      return 'pass';
    },
    end: (stage) => stage.client.replicaof('NO', 'ONE'),
  },
  refusal('MISCONF Redis is configured to save RDB snapshots, and cannot'),
  refusal('NOAUTH Authentication required.'),
  refusal('LOADING Redis is loading the dataset in memory'),
];

/** A fault that waits for its passage. */
export class ArmedFault {
  /** Which command it hit first. */
  hit: string | undefined;
  /** How many commands, or replies, came by. */
  passages = 0;
  readonly #stage: CrashStage;
  readonly #fault: RedisFault;
  readonly #late: Buffer[] = [];
  #striking: Promise<Verdict> | undefined;

  constructor(stage: CrashStage, child: StoreProcess, fault: RedisFault, n: number) {
    this.#stage = stage;
    this.#fault = fault;
    let lastRequest = '';
    stage.proxy.reset();
    stage.proxy.intercept = (passage) => {
      const { direction, command, frame } = passage;
      if (direction === 'request') lastRequest = command;
      if (direction !== fault.at) return 'pass';
      this.passages = passage.n;
      if (passage.n < n || (passage.n > n && fault.goesOn !== true)) return 'pass';
      this.hit ??= lastRequest;
      const keep = (): void => void this.#late.push(Buffer.from(frame));
      this.#striking = Promise.resolve(fault.strike({ stage, child, frame, keep }));
      return this.#striking;
    };
  }

  /** Ends the fault: Redis is up and willing again. */
  async settled(): Promise<void> {
    await this.#striking;
    if (this.hit !== undefined) await this.#fault.end?.(this.#stage);
  }

  /** Sends what was kept, as a network that was slow would. @returns whether there was anything */
  async deliverLate(): Promise<boolean> {
    if (this.#late.length === 0) return false;
    const socket = connect(this.#stage.redis.socketPath ?? '');
    socket.write(Buffer.concat(this.#late));
    await once(socket, 'data'); // its reply, an error or not
    socket.destroy();
    return true;
  }
}
