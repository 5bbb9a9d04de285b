import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLibrary } from './preloaded-library.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

const SHIM_SOURCE = join(import.meta.dirname, 'full-disk', 'full-disk-shim.c');

/** A disk that can be full for some files of a program: a library that is preloaded into it. */
export class FullDisk implements Stoppable {
  /** For the environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder, library: string, pathPart: string) {
    this.#folder = folder;
    this.env = {
      LD_PRELOAD: library,
      FULL_DISK_PART: pathPart,
      FULL_DISK_WHILE: folder.join('full'),
      // The kernel's queue of operations would go past the library.
      UV_USE_IO_URING: '0',
    };
  }

  /** @param pathPart files whose path contains it are on the disk */
  static async prepare(pathPart: string): Promise<FullDisk> {
    const library = await buildLibrary(SHIM_SOURCE);
    return new FullDisk(new TemporaryFolder('vault-disk'), library, pathPart);
  }

  /** From now on every write fails with ENOSPC. */
  fill(): void {
    writeFileSync(this.env['FULL_DISK_WHILE'] as string, '');
  }

  /** There is room again. */
  free(): void {
    rmSync(this.env['FULL_DISK_WHILE'] as string, { force: true });
  }

  async stop(): Promise<void> {
    await this.#folder.stop();
  }
}
