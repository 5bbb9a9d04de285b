/** What happens between the process and Redis, at the n-th request or reply. */
import { connect } from 'node:net';
import { once } from 'node:events';
import type { Passage, Verdict } from '../harness/tcp-proxy.js';
import type { CrashStage } from './crash-stage.js';
import type { StoreProcess } from './store-process.js';

export interface RedisFault {
  readonly name: string;
  readonly at: Passage['direction'];
  readonly kills: 'process' | 'Redis' | 'nothing';
  readonly verdict: Verdict;
  /** The request is kept, and reaches Redis after the next start is through. */
  readonly isLate?: true;
}

export const REDIS_FAULTS: readonly RedisFault[] = [
  {
    name: 'SIGKILL before a command, which comes late',
    at: 'request',
    kills: 'process',
    verdict: 'cut',
    isLate: true,
  },
  { name: 'SIGKILL before a reply', at: 'reply', kills: 'process', verdict: 'cut' },
  {
    name: 'connection cut inside a command',
    at: 'request',
    kills: 'nothing',
    verdict: 'cutInside',
  },
  { name: 'connection cut inside a reply', at: 'reply', kills: 'nothing', verdict: 'cutInside' },
  { name: 'command swallowed', at: 'request', kills: 'nothing', verdict: 'swallow' },
  { name: 'reply swallowed', at: 'reply', kills: 'nothing', verdict: 'swallow' },
  { name: 'command delayed', at: 'request', kills: 'nothing', verdict: { delayMs: 60 } },
  { name: 'Redis killed before a command', at: 'request', kills: 'Redis', verdict: 'cut' },
  { name: 'Redis killed before a reply', at: 'reply', kills: 'Redis', verdict: 'cut' },
];

/** A fault that waits for its passage. */
export class ArmedFault {
  /** Which command it hit, and how many of them came by in its direction. */
  hit: string | undefined;
  passages = 0;
  readonly #late: Buffer[] = [];
  /** Set while Redis is on its way up again. */
  #crash: Promise<void> = Promise.resolve();

  constructor(stage: CrashStage, child: StoreProcess, fault: RedisFault, n: number) {
    let lastRequest = '';
    stage.proxy.reset();
    stage.proxy.intercept = (passage) => {
      if (passage.direction === 'request') lastRequest = passage.command;
      if (passage.direction === fault.at) this.passages = passage.n;
      if (passage.direction !== fault.at || passage.n !== n) return 'pass';
      this.hit = lastRequest;
      if (fault.isLate) this.#late.push(Buffer.from(passage.frame));
      if (fault.kills === 'process') child.kill();
      if (fault.kills === 'Redis') this.#crash = stage.crashRedis();
      return fault.verdict;
    };
  }

  /** Waits until Redis is up again. */
  async settled(): Promise<void> {
    await this.#crash;
  }

  /** Sends what was kept, as a network that was slow would. @returns whether there was anything */
  async deliverLate(stage: CrashStage): Promise<boolean> {
    if (this.#late.length === 0) return false;
    const socket = connect(stage.redis.socketPath ?? '');
    socket.write(Buffer.concat(this.#late));
    await once(socket, 'data'); // its reply, an error or not
    socket.destroy();
    return true;
  }
}
