/**
 * `<datadir>/instance`: a random secret by which the commands of a data folder know the server that
 * runs on it. Whatever else answers on the configured port cannot prove to have it.
 *
 * ```
 * file    64 hex digits ‖ "\n"
 * id      first 16 hex digits of HMAC-SHA256(secret, "id")
 * proof   base64url(HMAC-SHA256(secret, "answer" ‖ "\n" ‖ challenge ‖ "\n" ‖ body))
 * ```
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFile, replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';

const INSTANCE_FILE = DATA_FOLDER.instance.name;
const MODE = 0o600;
const SECRET_BYTES = 32;
const ID_DIGITS = 16;
const CHALLENGE_BYTES = 16;

/** Header of an answer with the proof. */
export const PROOF_HEADER = 'vault-instance-proof';

export function newChallenge(): string {
  return randomBytes(CHALLENGE_BYTES).toString('hex');
}
/** What a server takes for one. */
export function isChallenge(text: unknown): text is string {
  return typeof text === 'string' && /^[0-9a-f]{32}$/.test(text);
}

export class InstanceIdentity {
  readonly #secret: Buffer;

  private constructor(secret: Buffer) {
    this.#secret = secret;
  }

  /** @returns `undefined` where no server has run on the folder yet, or the file is no such one */
  static async read(dataDir: string): Promise<InstanceIdentity | undefined> {
    let text: string;
    try {
      text = await readFile(join(dataDir, INSTANCE_FILE), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const hex = text.trimEnd();
    return /^[0-9a-f]{64}$/.test(hex) ? new InstanceIdentity(Buffer.from(hex, 'hex')) : undefined;
  }

  /** That of the folder; a first server makes it, and of two that start at once both have the same. */
  static async ensure(dataDir: string): Promise<InstanceIdentity> {
    const found = await InstanceIdentity.read(dataDir);
    if (found !== undefined) return found;
    const path = join(dataDir, INSTANCE_FILE);
    const secret = `${randomBytes(SECRET_BYTES).toString('hex')}\n`;
    // One that is there was made by another process meanwhile, or is no such file.
    if (!(await createFile(path, secret, { mode: MODE }))) {
      const theirs = await InstanceIdentity.read(dataDir);
      if (theirs !== undefined) return theirs;
      await replaceFile(path, secret, { mode: MODE });
    }
    const made = await InstanceIdentity.read(dataDir);
    if (made === undefined) throw new Error(`${path} does not read back`);
    return made;
  }

  /** No secret. */
  get id(): string {
    return this.#mac('id').toString('hex').slice(0, ID_DIGITS);
  }

  prove(challenge: string, body: string): string {
    return this.#mac(`answer\n${challenge}\n${body}`).toString('base64url');
  }

  isProof(proof: string | undefined, challenge: string, body: string): boolean {
    const given = Buffer.from(proof ?? '', 'base64url');
    const right = this.#mac(`answer\n${challenge}\n${body}`);
    return given.length === right.length && timingSafeEqual(given, right);
  }

  #mac(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest();
  }
}
