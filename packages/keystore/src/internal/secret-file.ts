/**
 * Reading and writing small secret files so that nobody else reads them, nobody else can have put
 * them there, and a crash at any instant leaves the old or the new content, whole.
 */
// oxlint-disable no-await-in-loop -- file operations whose order is their point
import { allocateSecret } from '@vault/crypto';
import {
  createFile,
  folderProblem,
  isTemporaryName,
  isTrusted,
  PROCESS_PLACE,
  removeAbandonedTemporaries,
  replaceFile,
  syncFolder,
  temporaryPath,
} from '@vault/crypto/files';
import { constants } from 'node:fs';
import * as nodeFileSystem from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, KeystoreError } from '../errors.js';
import type { RawReading, ValueCopy } from '../value-place.js';
import { FileLock } from './file-lock.js';

/** The operations that are used, so that a test can make each of them fail. */
export type FileSystem = Pick<
  typeof nodeFileSystem,
  'access' | 'link' | 'open' | 'readdir' | 'realpath' | 'rename' | 'stat' | 'statfs' | 'unlink'
>;

/** Who this process is, and with what it touches files. */
export interface FileOwner {
  /** Effective user id; `undefined` where there are none: then owners are not checked. */
  readonly userId: number | undefined;
  /** Effective group id. */
  readonly groupId: number | undefined;
  /** Default: `node:fs/promises`. */
  readonly fileSystem?: FileSystem;
}

const SECRET_MODE = 0o400;
const GROUP_AND_OTHERS = 0o077;
/** Of the corrupt copies of one file; more would mean that something corrupts it on purpose. */
const COPIES_MAX = 1000;

/** Of a name after that of the file. */
const COPY_INFIX = '.corrupt-';
/** The owner of a lock, in one line. */
const LOCK_MAX_BYTES = 1024;

const unchecked = (): Promise<void> => Promise.resolve();

export class SecretFile {
  readonly path: string;
  readonly #owner: FileOwner;
  readonly #fs: FileSystem;
  readonly #maxBytes: number;
  readonly #lock: FileLock;

  /** @param path absolute; `maxBytes` more is corrupt */
  constructor(path: string, owner: FileOwner, maxBytes: number) {
    this.path = path;
    this.#owner = owner;
    this.#fs = owner.fileSystem ?? nodeFileSystem;
    this.#maxBytes = maxBytes;
    this.#lock = new FileLock(path, PROCESS_PLACE, {
      temporaryName: temporaryPath,
      create: (lock, content) => this.#guarded('locking it', () => this.#createAt(lock, content)),
      read: async (lock) => (await this.#readBeside(lock, LOCK_MAX_BYTES))?.toString('latin1'),
      rename: (from, to) => this.#fs.rename(from, to),
      link: (from, to) => this.#fs.link(from, to),
      unlink: (lock) => this.#fs.unlink(lock),
    });
  }

  /**
   * Runs while nobody else who asks for the lock changes the file, on whatever machine.
   * @throws KeystoreError `HALF_CONFLICT` when somebody else holds it all the time
   */
  locked<T>(use: (check: () => Promise<void>) => Promise<T>): Promise<T> {
    return this.#lock.hold(use);
  }

  /** Takes away a lock that a killed process of this place left; fails in silence, since the next writer tries again and says so. */
  async removeAbandonedLock(): Promise<void> {
    await this.#lock.removeAbandoned().catch(() => undefined);
  }

  /** Copies that {@link keepCopy} made. */
  async copies(): Promise<readonly ValueCopy[]> {
    return this.#guarded('listing its corrupt copies', async () => {
      const folder = dirname(this.path);
      const prefix = `${basename(this.path)}${COPY_INFIX}`;
      const copies: ValueCopy[] = [];
      for (const name of await this.#namesIn(folder)) {
        if (!name.startsWith(prefix)) continue;
        const place = join(folder, name);
        const value = await this.#readBeside(place, this.#maxBytes).catch(() => undefined);
        copies.push({ place, value });
      }
      return copies;
    });
  }

  async deleteCopy(path: string): Promise<void> {
    await this.#guarded(`deleting ${path}`, async () => {
      await this.#fs.unlink(path);
      await this.#syncFolder();
    });
  }

  async #namesIn(folder: string): Promise<readonly string[]> {
    try {
      return await this.#fs.readdir(folder);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** @returns `undefined` where there is none */
  async #readBeside(path: string, maxBytes: number): Promise<Buffer | undefined> {
    let handle: FileHandle;
    try {
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      handle = await this.#fs.open(path, flags);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return await readWhole(handle, maxBytes);
    } finally {
      await handle.close();
    }
  }

  /** Never throws for what the file system can answer. */
  async read(): Promise<RawReading> {
    let handle: FileHandle;
    try {
      const problem = await this.#folderProblem();
      if (problem !== undefined) return { status: 'unreadable', reason: problem };
      await this.#removeAbandoned();
      // O_NONBLOCK: a FIFO put there must not make the open wait for ever.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      handle = await this.#fs.open(this.path, flags);
    } catch (error) {
      return openFailure(error);
    }
    try {
      return await this.#readHandle(handle);
    } catch (error) {
      return { status: 'unreadable', reason: `reading it failed: ${errnoOf(error)}` };
    } finally {
      await handle.close();
    }
  }

  /** Why the file cannot be replaced, by permissions alone; `undefined` when it can. */
  async writeRefusal(): Promise<string | undefined> {
    try {
      const problem = await this.#folderProblem();
      if (problem !== undefined) return problem;
      await this.#fs.access(dirname(this.path), constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      return `its folder cannot be written: ${errnoOf(error)}`;
    }
  }

  /**
   * Writes beside it, fsyncs, renames over it, fsyncs the folder.
   * @param check asked last of all before the old content goes; what it throws leaves that
   * @throws KeystoreError `HALF_WRITE_FAILED`: the old content stays
   */
  async replace(value: Uint8Array, check: () => Promise<void> = unchecked): Promise<void> {
    await this.#guarded('replacing it', async () => {
      await this.#removeLeftovers();
      await replaceFile(this.path, value, this.#writing(), check);
    });
  }

  /** Like {@link replace}, but never over something that is there. @returns false when something is */
  async create(value: Uint8Array): Promise<boolean> {
    return this.#guarded('creating it', () => this.#createAt(this.path, value));
  }

  /** Copies content to `<path>.corrupt-<n>`, the first number that is free. @returns the path of the copy */
  async keepCopy(content: Uint8Array): Promise<string> {
    return this.#guarded('copying the corrupt value aside', async () => {
      for (let n = 1; n <= COPIES_MAX; n++) {
        const copy = `${this.path}${COPY_INFIX}${n}`;
        if (await this.#createAt(copy, content)) return copy;
      }
      throw new KeystoreError('HALF_WRITE_FAILED', `${this.path} has ${COPIES_MAX} corrupt copies`);
    });
  }

  /** Removes the file and what a killed write left beside it. @param check as of {@link replace} */
  async delete(check: () => Promise<void> = unchecked): Promise<void> {
    await this.#guarded('deleting it', async () => {
      await this.#removeLeftovers();
      await check();
      await this.#fs.unlink(this.path);
      await this.#syncFolder();
    });
  }

  async #readHandle(handle: FileHandle): Promise<RawReading> {
    const stat = await handle.stat();
    if (!stat.isFile()) return { status: 'corrupt', reason: 'it is not a regular file' };
    if (!isTrusted(stat.uid, this.#owner)) {
      const reason = `it belongs to user ${stat.uid}, expected this user (${this.#owner.userId}) or root`;
      return { status: 'unreadable', reason };
    }
    if ((stat.mode & GROUP_AND_OTHERS) !== 0) {
      const mode = (stat.mode & 0o777).toString(8);
      const reason = `its mode is ${mode}, which is open to group or others: chmod 400 it, and treat the half as disclosed`;
      return { status: 'unreadable', reason };
    }
    if (stat.size > this.#maxBytes) {
      return { status: 'corrupt', reason: `expected at most ${this.#maxBytes} bytes, met more` };
    }
    return { status: 'value', value: await readWhole(handle, this.#maxBytes) };
  }

  /** A file in a folder where others can write may be theirs at the next reading. */
  #folderProblem(): Promise<string | undefined> {
    return folderProblem(dirname(this.path), this.#owner, this.#fs);
  }

  /** `false` where a file is. */
  async #createAt(path: string, value: Uint8Array): Promise<boolean> {
    return createFile(path, value, this.#writing());
  }

  #writing() {
    return { mode: SECRET_MODE, fileSystem: this.#fs };
  }

  /** Of a writer that lives, or may live elsewhere, nothing is touched. */
  async #removeAbandoned(): Promise<void> {
    const folder = dirname(this.path);
    const name = basename(this.path);
    await removeAbandonedTemporaries(folder, name);
    await removeAbandonedTemporaries(folder, `${name}.lock`);
  }

  /**
   * A write that was killed before its rename leaves a temporary file with secrets in it. Of any machine:
   * who writes has the lock. Of the lock itself nothing: others may be about to take it.
   */
  async #removeLeftovers(): Promise<void> {
    const folder = dirname(this.path);
    const name = basename(this.path);
    for (const found of await this.#fs.readdir(folder)) {
      if (isTemporaryName(found, name)) await this.#fs.unlink(join(folder, found));
    }
  }

  async #syncFolder(): Promise<void> {
    await syncFolder(dirname(this.path), this.#fs);
  }

  async #guarded<T>(what: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      if (error instanceof KeystoreError) throw error;
      throw new KeystoreError(
        'HALF_WRITE_FAILED',
        `file ${this.path}: ${what} failed: ${errnoOf(error)}`,
      );
    }
  }
}

function openFailure(error: unknown): RawReading {
  const errno = errnoOf(error);
  switch (errno) {
    case 'ENOENT':
      return { status: 'missing' };
    case 'ELOOP':
      return { status: 'unreadable', reason: 'it is a symbolic link, which is not followed' };
    case 'EACCES':
    case 'EPERM':
      return { status: 'unreadable', reason: `this user has no permission to read it (${errno})` };
    default:
      return { status: 'unreadable', reason: `it cannot be opened: ${errno}` };
  }
}

/** Reads into one buffer, so that no other copy of the secret is left behind. */
async function readWhole(handle: FileHandle, maxBytes: number): Promise<Buffer> {
  const buffer = allocateSecret(maxBytes);
  try {
    let length = 0;
    while (length < maxBytes) {
      const { bytesRead } = await handle.read(buffer, length, maxBytes - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const whole = allocateSecret(length);
    whole.set(buffer.subarray(0, length));
    return whole;
  } finally {
    buffer.fill(0);
  }
}
