/**
 * The one way in which Vault writes a file: beside it, under a name that nobody can guess, which
 * follows no link; synced; then renamed, and the folder synced. A power cut at any instant leaves the
 * old or the new content, whole; what a killed process left is taken away by the next writer.
 */
import * as nodeFileSystem from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { WriteStream } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  holdFile,
  releaseFile,
  removeAbandonedTemporaries,
  temporaryPath,
} from './abandoned-file.js';
import { ownerToBe } from './folder-owner.js';

/** The operations that are used, so that a test can make each of them fail. */
export type DurableFileSystem = Pick<typeof nodeFileSystem, 'link' | 'open' | 'rename' | 'unlink'>;

export interface NewFileOptions {
  /** Permission bits, whatever the umask. */
  readonly mode: number;
  /** Default: `node:fs/promises`. */
  readonly fileSystem?: DurableFileSystem;
}

/** How {@link NewFile.place} goes. */
export interface Placing {
  /** Another name in the same folder than the file was begun for. */
  readonly path?: string;
  /** Asked last of all before the old content goes; what it throws leaves that. */
  readonly check?: (() => Promise<void>) | undefined;
}

/** File systems without hard links: FAT and some network shares. */
const NO_LINKS: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** A file that is being written, and has no name of its own before it is {@link place}d or {@link claim}ed. */
export class NewFile {
  /** What it is to be called. */
  readonly path: string;
  /** Where its content is until then: can be read once {@link finish} returned. */
  readonly temporaryPath: string;
  readonly #handle: FileHandle;
  readonly #fs: DurableFileSystem;
  #isClosed = false;
  #isStreamed = false;

  private constructor(path: string, temporary: string, handle: FileHandle, fs: DurableFileSystem) {
    this.path = path;
    this.temporaryPath = temporary;
    this.#handle = handle;
    this.#fs = fs;
  }

  /** Begins to write; nothing at `path` is touched. */
  static async create(
    path: string,
    { mode, fileSystem = nodeFileSystem }: NewFileOptions,
  ): Promise<NewFile> {
    await removeAbandonedTemporaries(dirname(path), basename(path));
    const temporary = temporaryPath(path);
    holdFile(temporary);
    try {
      // "wx" is O_CREAT with O_EXCL, which opens no file that is there and follows no link (open(2)).
      const handle = await fileSystem.open(temporary, 'wx', mode);
      const file = new NewFile(path, temporary, handle, fileSystem);
      try {
        // Bits that the umask took; a file system that knows no bits shows too many, and is left so.
        if (((await handle.stat()).mode & mode) !== mode) await handle.chmod(mode);
        const owner = await ownerToBe(path);
        if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
      } catch (error) {
        await file.discard();
        throw error;
      }
      return file;
    } catch (error) {
      releaseFile(temporary);
      throw error;
    }
  }

  /** Writes on, to the end of what was written. */
  async write(content: string | Uint8Array): Promise<void> {
    await this.#handle.writeFile(content);
  }

  /** Takes all content, instead of {@link write}; it syncs and closes the file at its end. */
  stream(): WriteStream {
    this.#isStreamed = true;
    return this.#handle.createWriteStream({ flush: true });
  }

  /** Syncs what was written; there is no writing after. Of a {@link stream}, after its end. */
  async finish(): Promise<void> {
    if (this.#isClosed) return;
    if (!this.#isStreamed) await this.#handle.sync();
    await this.#close();
  }

  /** Gives it its name, in the place of a file that is there. Durable when it returns. */
  async place({ path = this.path, check }: Placing = {}): Promise<void> {
    try {
      await this.finish();
      await check?.();
      await this.#fs.rename(this.temporaryPath, path);
      releaseFile(this.temporaryPath);
    } catch (error) {
      await this.discard();
      throw error;
    }
    await syncFolder(dirname(path), this.#fs);
  }

  /** Gives it its name unless a file has it. Durable when it returns. @returns `false`: one has, and nothing is left of this one */
  async claim(): Promise<boolean> {
    try {
      await this.finish();
      if (!(await this.#link())) return false;
    } finally {
      await this.discard();
    }
    await syncFolder(dirname(this.path), this.#fs);
    return true;
  }

  /** Gives it up, or takes its temporary name away; after {@link place} it does nothing. Never throws: a second failure would hide the first. */
  async discard(): Promise<void> {
    await this.#close().catch(() => undefined);
    await this.#fs.unlink(this.temporaryPath).catch(() => undefined);
    releaseFile(this.temporaryPath);
  }

  /** `link` is the one call that makes a whole file appear and fails where one is. */
  async #link(): Promise<boolean> {
    try {
      await this.#fs.link(this.temporaryPath, this.path);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      if (!NO_LINKS.has(codeOf(error))) throw error;
    }
    return this.#reserve();
  }

  /** Without links: an empty file of ours keeps the name until ours is renamed over it. */
  async #reserve(): Promise<boolean> {
    try {
      await (await this.#fs.open(this.path, 'wx', 0o400)).close();
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
    try {
      await this.#fs.rename(this.temporaryPath, this.path);
    } catch (error) {
      await this.#fs.unlink(this.path).catch(() => undefined);
      throw error;
    }
    return true;
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#handle.close();
  }
}

/** Writes a whole file, in the place of one that is there. @param check as of {@link Placing} */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  options: NewFileOptions,
  check?: () => Promise<void>,
): Promise<void> {
  const file = await writtenFile(path, content, options);
  await file.place({ check });
}

/** Writes a whole file, never over one that is there. @returns `false` when one is */
export async function createFile(
  path: string,
  content: string | Uint8Array,
  options: NewFileOptions,
): Promise<boolean> {
  const file = await writtenFile(path, content, options);
  return file.claim();
}

async function writtenFile(
  path: string,
  content: string | Uint8Array,
  options: NewFileOptions,
): Promise<NewFile> {
  const file = await NewFile.create(path, options);
  try {
    await file.write(content);
    return file;
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** Makes renames and removals in a folder durable. */
export async function syncFolder(
  folder: string,
  fileSystem: Pick<DurableFileSystem, 'open'> = nodeFileSystem,
): Promise<void> {
  const handle = await fileSystem.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes files of one folder and makes that durable; one that is not there is no error. */
export async function removeFiles(folder: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await Promise.all(
    names.map(async (name) => nodeFileSystem.rm(join(folder, name), { force: true })),
  );
  await syncFolder(folder);
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code;
}
