import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder under the system's temporary folder (short, so that sockets fit in it), gone after `stop()`. */
export class TemporaryFolder {
  readonly path: string;

  constructor(name = 'vault-test') {
    this.path = mkdtempSync(join(tmpdir(), `${name}-`));
  }

  join(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  /** Kills what still runs in the folder (a detached Redis of a killed server), and removes it. */
  stop(): Promise<void> {
    killProcessesIn(this.path);
    rmSync(this.path, { recursive: true, force: true });
    return Promise.resolve();
  }
}

/** Kills each process that has the folder as its working folder, or names it in its arguments. */
export function killProcessesIn(folder: string): void {
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (isProcessIn(pid, folder)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended in the meantime.
      }
    }
  }
}

function isProcessIn(pid: number, folder: string): boolean {
  try {
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    if (cwd === folder || cwd.startsWith(`${folder}/`)) return true;
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${folder}/`);
  } catch {
    return false; // ended, or another user's
  }
}
