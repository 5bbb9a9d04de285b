import { randomUUID } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { link, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileUnusableError, systemErrorCode } from '../errors.js';

/**
 * The file that a download ends in. Until it is committed the bytes are in a hidden temporary file beside
 * it, mode 0600: backups are for their owner. A pipe or device at the path is written straight.
 */
export class DownloadTarget {
  readonly stream: WriteStream;
  readonly #path: string;
  /** `undefined` where the path itself is written. */
  readonly #temporary: string | undefined;
  readonly #mayOverwrite: boolean;

  private constructor(
    path: string,
    stream: WriteStream,
    temporary: string | undefined,
    mayOverwrite: boolean,
  ) {
    this.#path = path;
    this.stream = stream;
    this.#temporary = temporary;
    this.#mayOverwrite = mayOverwrite;
  }

  /** @throws FileUnusableError when the path is taken, or its folder cannot be written. */
  static async open(path: string, mayOverwrite: boolean): Promise<DownloadTarget> {
    const kind = await kindOf(path);
    if (kind === 'folder') throw new FileUnusableError(`${path} is a folder`);
    if (kind === 'file' && !mayOverwrite) throw takenError(path);
    if (kind === 'other') {
      return new DownloadTarget(path, createWriteStream(path), undefined, mayOverwrite);
    }
    const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.part`);
    const file = await openNew(temporary, path);
    return new DownloadTarget(
      path,
      file.createWriteStream({ flush: true }),
      temporary,
      mayOverwrite,
    );
  }

  /** Gives the finished file its name. */
  async commit(): Promise<void> {
    if (this.#temporary === undefined) return;
    try {
      if (this.#mayOverwrite) await rename(this.#temporary, this.#path);
      else await this.#claimName(this.#temporary);
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') throw takenError(this.#path);
      throw unwritableError(this.#path, error);
    }
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    this.stream.destroy();
    if (this.#temporary !== undefined) await rm(this.#temporary, { force: true });
  }

  /** A link fails when the name was taken meanwhile, which a rename would replace without a word. */
  async #claimName(temporary: string): Promise<void> {
    try {
      await link(temporary, this.#path);
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') throw error;
      // File systems without hard links (FAT and some network shares).
      await rename(temporary, this.#path);
      return;
    }
    await rm(temporary, { force: true });
  }
}

async function kindOf(path: string): Promise<'absent' | 'file' | 'folder' | 'other'> {
  try {
    const found = await stat(path);
    if (found.isFile()) return 'file';
    return found.isDirectory() ? 'folder' : 'other';
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return 'absent';
    throw unwritableError(path, error);
  }
}

async function openNew(temporary: string, path: string): Promise<FileHandle> {
  try {
    return await open(temporary, 'wx', 0o600);
  } catch (error) {
    throw unwritableError(path, error);
  }
}

function takenError(path: string): FileUnusableError {
  return new FileUnusableError(`${path} exists already`, {
    advice: 'choose another name, or replace it with --force',
  });
}

function unwritableError(path: string, error: unknown): FileUnusableError {
  const reason = systemErrorCode(error) ?? 'unexpected error';
  return new FileUnusableError(`${path} cannot be written (${reason})`, { cause: error });
}
