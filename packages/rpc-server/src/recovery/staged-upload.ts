/**
 * An upload on its way through two readings: the first proves that all of it can be taken, the second
 * takes it. Between them it lies on disk, encrypted under a key that only this process has: a backup
 * may have been sent without any protection.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** One name: what a crash left behind is overwritten by the next upload; nobody can read it. */
const STAGED_FILE = 'recovery-upload.tmp';
const MODE = 0o600;
/** One key encrypts one upload, below the 64 GiB that GCM takes (NIST SP 800-38D, section 5.2.1.1). */
const CIPHER = 'aes-256-gcm';

export class StagedUpload {
  readonly #path: string;
  readonly #key = randomBytes(32);
  readonly #nonce = randomBytes(12);
  #tag: Buffer | undefined;

  private constructor(dataDir: string) {
    this.#path = join(dataDir, STAGED_FILE);
  }

  /** Reads the source to its end. Its error comes through, and nothing is left. */
  static async take(source: Readable, dataDir: string): Promise<StagedUpload> {
    const staged = new StagedUpload(dataDir);
    const cipher = createCipheriv(CIPHER, staged.#key, staged.#nonce);
    try {
      await pipeline(source, cipher, createWriteStream(staged.#path, { mode: MODE }));
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
    const file = createReadStream(this.#path);
    file.once('error', (error) => decipher.destroy(error));
    decipher.once('close', () => file.destroy());
    return file.pipe(decipher);
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
