/** What happens at the n-th file operation of a process below the folder of the case: see `file-fault-shim.c`. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLibrary } from '../harness/preloaded-library.js';
import type { Stoppable } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';

export interface FileFault {
  readonly name: string;
  readonly mode: 'kill' | 'full' | 'denied';
}

export const FILE_FAULTS: readonly FileFault[] = [
  { name: 'SIGKILL before a file operation', mode: 'kill' },
  { name: 'disk full from a file operation on', mode: 'full' },
  { name: 'permissions lost from a file operation on', mode: 'denied' },
];

/** The preloaded library, its plan and its log. */
export class FileFaults implements Stoppable {
  /** For the environment of the processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder, library: string, watched: string) {
    this.#folder = folder;
    this.env = {
      LD_PRELOAD: library,
      VAULT_FAULT_FOLDER: watched,
      VAULT_FAULT_PLAN: folder.join('plan'),
      VAULT_FAULT_LOG: folder.join('log'),
    };
  }

  /** @param watched operations below it count */
  static async start(watched: string): Promise<FileFaults> {
    const library = await buildLibrary(join(import.meta.dirname, 'file-fault-shim.c'));
    return new FileFaults(new TemporaryFolder('vault-faults'), library, watched);
  }

  /** From now on operations count. */
  plan(n: number, { mode }: FileFault): void {
    rmSync(this.#folder.join('log'), { force: true });
    // Renamed into place: a process that looks for it finds all of it.
    writeFileSync(this.#folder.join('new-plan'), `${n} ${mode}\n`);
    renameSync(this.#folder.join('new-plan'), this.#folder.join('plan'));
  }

  /** Processes that come now are left alone. */
  forget(): void {
    rmSync(this.#folder.join('plan'), { force: true });
  }

  /** Operations of the process so far, by name. */
  operations(): string[] {
    try {
      return readFileSync(this.#folder.join('log'), 'utf8').trimEnd().split('\n');
    } catch {
      return []; // it did none
    }
  }

  async stop(): Promise<void> {
    await this.#folder.stop();
  }
}
