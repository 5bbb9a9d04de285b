/** Drives `store-child.mjs`. */
import { join } from 'node:path';
import type { HalfSourceConfig } from '@vault/keystore';
import type { CollectionDefinitions, CredentialRecord, RedisOptions } from '@vault/redis-store';
import { Program } from '../harness/program.js';
import type { Stoppable } from '../harness/resources.js';

const SCRIPT = join(import.meta.dirname, 'store-child.mjs');

/** One operation of a child. Which fields count depends on `do`. */
export interface Step {
  readonly do:
    | 'add'
    | 'set'
    | 'remove'
    /** `ids` all at once, with the same `fields` and so the same unique value: one may win */
    | 'claim'
    /** `ids`, each with `fields` and the host `<id>.example` */
    | 'import'
    | 'rotate'
    | 'deleteInactive'
    | 'read'
    | 'find';
  readonly collection: string;
  readonly id: string;
  readonly ids: readonly string[];
  readonly fields: CredentialRecord & { readonly [field: string]: string };
}

export interface Order {
  readonly redis: RedisOptions;
  readonly ownRedis: boolean;
  readonly collections: CollectionDefinitions;
  readonly dataDir: string;
  readonly halves: readonly [HalfSourceConfig, HalfSourceConfig];
  readonly encrypt: boolean;
  /** Done one after the other once the database is open and `go()` was called; the first failure ends them. */
  readonly steps: readonly Step[];
}

export type Report =
  | { readonly event: 'warm' | 'closed' }
  | { readonly event: 'opened'; readonly state: string }
  | { readonly event: 'degraded'; readonly reason: string; readonly cause: string }
  | { readonly event: 'acknowledged'; readonly result: unknown }
  | { readonly event: 'failed'; readonly code: string; readonly message: string };

/** All that a child said, and whether it came to its end. */
export interface Story {
  readonly reports: readonly Report[];
  readonly wasKilled: boolean;
  /** What it printed that is no report: nothing, or why it fell over. */
  readonly stderr: string;
}

/** Longer than any operation of a dozen records with all its time-outs takes. */
const STORY_LIMIT_MS = 40_000;

export class StoreProcess implements Stoppable {
  readonly #program: Program;

  /** Starts one that loads its modules and waits for its order. @param env added to the environment */
  constructor(env: Readonly<Record<string, string>> = {}) {
    const { PATH, NODE_V8_COVERAGE } = process.env;
    this.#program = Program.start(process.execPath, [SCRIPT], {
      env: { PATH, ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }), ...env },
    });
  }

  get pid(): number {
    return this.#program.pid;
  }

  /** Gives it its order, and waits until the database is open, or will not be. @returns whether it is open */
  async open(order: Order): Promise<boolean> {
    this.#program.write(`${JSON.stringify(order)}\n`);
    const opened = this.#program.waitForOutput(/"event":"(opened|degraded)"/, {
      limitMs: STORY_LIMIT_MS,
    });
    // One that is killed on the way opens nothing.
    return opened.then(
      ([, event]) => event === 'opened',
      () => false,
    );
  }

  /** Lets it take its steps. */
  go(): void {
    this.#program.write('go\n');
  }

  kill(): void {
    this.#program.signal('SIGKILL');
  }

  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  /** Waits for its end. A child that hangs is killed, and its story ends with a failure. */
  async end(): Promise<Story> {
    let isHung = false;
    const timer = setTimeout(() => {
      isHung = true;
      this.kill();
    }, STORY_LIMIT_MS);
    const { signal } = await this.#program.exited;
    clearTimeout(timer);
    const reports = this.#program.stdout
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Report);
    const hung = `it hung for ${STORY_LIMIT_MS} ms`;
    return {
      reports: isHung ? [...reports, { event: 'failed', code: 'HUNG', message: hung }] : reports,
      wasKilled: signal === 'SIGKILL' && !isHung,
      stderr: this.#program.stderr,
    };
  }

  async stop(): Promise<void> {
    await this.#program.kill();
  }
}
