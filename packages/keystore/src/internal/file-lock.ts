/**
 * A lock beside a file that several machines mount: `<path>.lock`, made by `link`, which fails where
 * one is on every local and network file system (open(2) on O_EXCL and NFS). It names its owner, so
 * that one whose owner died on this machine is taken away; one of another machine never is, since
 * nobody can know here whether that machine is only slow. A copy of this machine has its name: its
 * lock tells itself apart by being younger than this run of the machine, though not of it.
 */
// oxlint-disable no-await-in-loop -- each attempt follows the failure of the one before
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { incarnationOf, isGone, isOfThisRun, machineStartedMs } from '@vault/crypto/files';
import { errnoOf, KeystoreError } from '../errors.js';

/** What is done to files; `link` and `rename` never overwrite and overwrite, as in POSIX. */
export interface LockFiles {
  /** A free name, for a file that is swept away should this process die. */
  temporaryName(lock: string): string;
  /** Makes a whole file appear; @returns false where one is */
  create(path: string, content: Uint8Array): Promise<boolean>;
  /** @returns `undefined` where there is none */
  read(path: string): Promise<string | undefined>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

/** Another writer holds it for some file operations; a slow share takes a second for those. */
const WAIT_MS = 10_000;
const POLL_MS = 50;
/** In the place of what `/proc` does not tell. */
const UNTOLD = '-';

export class FileLock {
  readonly #path: string;
  readonly #place: string;
  readonly #files: LockFiles;
  readonly #waitMs: number;

  /** @param place machine and process-id name space of this process */
  constructor(path: string, place: string, files: LockFiles, waitMs: number = WAIT_MS) {
    this.#path = `${path}.lock`;
    this.#place = place;
    this.#files = files;
    this.#waitMs = waitMs;
  }

  /**
   * Runs with the lock held. `check` throws when it was lost: to be asked just before what cannot be undone.
   * @throws KeystoreError `HALF_CONFLICT` when another one holds it all the time
   */
  async hold<T>(use: (check: () => Promise<void>) => Promise<T>): Promise<T> {
    const incarnation = incarnationOf(process.pid) ?? UNTOLD;
    const random = randomBytes(8).toString('hex');
    const mine = `${this.#place} ${process.pid} ${incarnation} ${Date.now()} ${random}\n`;
    await this.#acquire(mine);
    try {
      return await use(async () => {
        if ((await this.#files.read(this.#path)) !== mine) {
          throw new KeystoreError('HALF_CONFLICT', `the lock ${this.#path} was taken away`);
        }
      });
    } finally {
      await this.#release(mine);
    }
  }

  /** Takes away a lock whose owner died on this machine. */
  async removeAbandoned(): Promise<void> {
    const seen = await this.#files.read(this.#path);
    if (seen !== undefined && this.#isAbandoned(seen)) await this.#takeAway(seen);
  }

  async #acquire(mine: string): Promise<void> {
    const endsMs = Date.now() + this.#waitMs;
    for (;;) {
      if (await this.#files.create(this.#path, Buffer.from(mine))) return;
      await this.removeAbandoned();
      const holder = await this.#files.read(this.#path);
      if (holder !== undefined && Date.now() > endsMs) {
        throw new KeystoreError(
          'HALF_CONFLICT',
          `${this.#path} is held by process ${holder.split(' ')[1] ?? '?'} of another machine or container; when no server writes there any more, remove it`,
        );
      }
      if (holder !== undefined) await delay(POLL_MS);
    }
  }

  #isAbandoned(content: string): boolean {
    const [place, pid, incarnation = UNTOLD, madeAtMs] = content.trim().split(' ');
    if (place !== this.#place) return false;
    if (incarnation === UNTOLD) return isGone(Number(pid));
    if (isOfThisRun(incarnation)) return incarnationOf(Number(pid)) !== incarnation;
    return Number(madeAtMs) < machineStartedMs();
  }

  /** By renaming: of two that do this at once, one finds that it took another lock, and puts that back. */
  async #takeAway(seen: string): Promise<void> {
    const aside = this.#files.temporaryName(this.#path);
    try {
      await this.#files.rename(this.#path, aside);
      if ((await this.#files.read(aside)) !== seen) await this.#files.link(aside, this.#path);
      await this.#files.unlink(aside);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'EEXIST') throw error;
    }
  }

  /** A failure here would hide what happened before; a lock that stays is taken away by the next writer. */
  async #release(mine: string): Promise<void> {
    try {
      if ((await this.#files.read(this.#path)) === mine) await this.#files.unlink(this.#path);
    } catch {
      // See above.
    }
  }
}
