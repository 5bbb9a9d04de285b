import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { buildLibrary } from './preloaded-library.js';
import { Program, runProgram, type ProgramResult } from './program.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

const DAEMON = '/usr/lib/xen-4.17/bin/xenstored';
// import.meta.dirname, not a URL: swc leaves it alone, and node knows it from 20.11 on.
const SHIM_SOURCE = join(import.meta.dirname, 'xenstore', 'xenstored-shim.c');
const START_LIMIT_MS = 15_000;
const POLL_MS = 20;

export interface XenstoredOptions {
  /** Guest domains that are to exist, so that a node can be given to one (`xenstore-chmod path n5`). */
  readonly domainIds?: readonly number[];
}

/**
 * The real C xenstored, which a preloaded library lets run without a hypervisor. Its store is in memory: `restart()`
 * comes back empty. Every client of its socket has the rights of domain 0.
 */
export class Xenstored implements Stoppable {
  readonly folder: TemporaryFolder;
  /** For `XENSTORED_PATH`. The file stays when the daemon ends; clients then get ECONNREFUSED. */
  readonly socketPath: string;
  readonly #options: XenstoredOptions;
  #program: Program | undefined;

  private constructor(options: XenstoredOptions) {
    this.#options = options;
    this.folder = new TemporaryFolder('vault-xs');
    this.socketPath = this.folder.join('socket');
  }

  static async start(options: XenstoredOptions = {}): Promise<Xenstored> {
    const xenstored = new Xenstored(options);
    try {
      await xenstored.#launch();
    } catch (error) {
      await xenstored.stop();
      throw error;
    }
    return xenstored;
  }

  /** Runs `xenstore-<name>` on this daemon, such as `cli('read', ['vm-data/x'])`; never on a paused one, it would hang. */
  async cli(name: string, args: readonly string[]): Promise<ProgramResult> {
    return runProgram(`xenstore-${name}`, args, {
      env: { ...process.env, XENSTORED_PATH: this.socketPath },
    });
  }

  /** SIGSTOP: it accepts connections but answers nothing, until `resume()`. */
  pause(): void {
    this.#program?.signal('SIGSTOP');
  }

  resume(): void {
    this.#program?.signal('SIGCONT');
  }

  /** Ends the daemon and leaves its stale socket. */
  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  /** Starts it again, empty, on the same socket. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#launch();
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.folder.stop();
  }

  async #launch(): Promise<void> {
    const shim = await buildLibrary(SHIM_SOURCE);
    const { domainIds = [] } = this.#options;
    const program = Program.start(DAEMON, ['-N'], {
      env: {
        ...process.env,
        LD_PRELOAD: shim,
        XENSTORED_PATH: this.socketPath,
        XENSTORED_RUNDIR: this.folder.path,
        XENSTORED_SHIM_DOMIDS: domainIds.join(','),
      },
    });
    this.#program = program;
    // It prints nothing; it listens before its store exists, and makes /tool/xenstored last.
    const endMs = Date.now() + START_LIMIT_MS;
    while ((await this.cli('exists', ['/tool/xenstored'])).status !== 0) {
      if (!program.isRunning || Date.now() > endMs) {
        throw new Error(`xenstored did not start\n${program.stdout}${program.stderr}`);
      }
      await delay(POLL_MS);
    }
  }
}
