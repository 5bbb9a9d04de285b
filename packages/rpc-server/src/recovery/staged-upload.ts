/**
 * An upload on its way through two readings: the first proves that all of it can be taken, the second
 * takes it. Between them it lies on disk, encrypted under a key that only this process has: a backup
 * may have been sent without any protection.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { NewFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';

/** It never gets this name: only a temporary one, of what a crash left behind the next upload takes it away. */
const STAGED_FILE = DATA_FOLDER.recoveryUpload.name;
const MODE = 0o600;
/** One key encrypts one upload, below the 64 GiB that GCM takes (NIST SP 800-38D, section 5.2.1.1). */
const CIPHER = 'aes-256-gcm';

export class StagedUpload {
  readonly #file: NewFile;
  readonly #key = randomBytes(32);
  readonly #nonce = randomBytes(12);
  #tag: Buffer | undefined;

  private constructor(file: NewFile) {
    this.#file = file;
  }

  /** Reads the source to its end. Its error comes through, and nothing is left. */
  static async take(source: Readable, dataDir: string): Promise<StagedUpload> {
    const file = await NewFile.create(join(dataDir, STAGED_FILE), { mode: MODE });
    const staged = new StagedUpload(file);
    const cipher = createCipheriv(CIPHER, staged.#key, staged.#nonce);
    try {
      await pipeline(source, cipher, file.stream());
      await file.finish();
    } catch (error) {
      await staged.remove();
      throw error;
    }
    staged.#tag = cipher.getAuthTag();
    return staged;
  }

  /** The bytes from their beginning, each time. The stream fails at its end when the file was altered. */
  open(): Readable {
    if (this.#tag === undefined) throw new TypeError('nothing was staged');
    const decipher = createDecipheriv(CIPHER, this.#key, this.#nonce).setAuthTag(this.#tag);
    const file = createReadStream(this.#file.temporaryPath);
    file.once('error', (error) => decipher.destroy(error));
    decipher.once('close', () => file.destroy());
    return file.pipe(decipher);
  }

  async remove(): Promise<void> {
    await this.#file.discard();
  }
}
