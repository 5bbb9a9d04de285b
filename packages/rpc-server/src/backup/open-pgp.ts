/**
 * OpenPGP around a stream. What is written is what gpg 2.2 opens: AES-256, an integrity protected
 * packet of version 1 (MDC), and for a passphrase SHA-256 iterated and salted at the highest count
 * (RFC 4880 §3.7.1.3: 65 011 712 bytes hashed a guess). The library is loaded when it is first used:
 * a start of the server needs none of it.
 */
import { ReadableStream } from 'node:stream/web';
import type * as OpenPgp from 'openpgp';
import { BackupError } from './errors.js';
import { BACKUP_LIMITS } from './limits.js';

/** For whom a backup is encrypted. */
export type BackupProtection =
  | { readonly passphrase: string }
  /** Armored OpenPGP public key. */
  | { readonly recipientKey: string };

/** The coded count of RFC 4880 §3.7.1.3 that stands for 65 011 712. */
const S2K_COUNT_BYTE = 255;

const loadOpenPgp = (): Promise<typeof OpenPgp> => import('openpgp');

function writeConfig({ enums }: typeof OpenPgp): OpenPgp.PartialConfig {
  return {
    preferredSymmetricAlgorithm: enums.symmetric.aes256,
    preferredCompressionAlgorithm: enums.compression.uncompressed,
    aeadProtect: false,
    s2kType: enums.s2k.iterated,
    s2kIterationCountByte: S2K_COUNT_BYTE,
    showComment: false,
    showVersion: false,
  };
}

const READ_CONFIG: OpenPgp.PartialConfig = {
  // Nothing is used before the end of the stream was authenticated: an import spools first.
  allowUnauthenticatedStream: true,
  allowUnauthenticatedMessages: false,
  maxArgon2MemoryExponent: BACKUP_LIMITS.argon2MemoryExponent,
  maxDecompressedMessageSize: BACKUP_LIMITS.documentBytes,
};

/** An async iterable as the web stream that openpgp takes; it is read no faster than it is asked. */
function toWebStream(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const next = await iterator.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: async () => {
      await iterator.return?.();
    },
  });
}

/** Checks an armored public key. @throws TypeError saying that it is none, or cannot be encrypted to */
export async function readRecipientKey(armored: string): Promise<OpenPgp.PublicKey> {
  const openpgp = await loadOpenPgp();
  try {
    const key = await openpgp.readKey({ armoredKey: armored });
    await key.getEncryptionKey();
    return key.toPublic();
  } catch {
    throw new TypeError('it is not an armored OpenPGP public key that can be encrypted to');
  }
}

/** Encrypts; binary. Errors of the source come through. */
export async function* encryptStream(
  source: AsyncIterable<Uint8Array>,
  protection: BackupProtection,
  fileName: string,
): AsyncGenerator<Uint8Array> {
  const openpgp = await loadOpenPgp();
  const message = await openpgp.createMessage({ binary: toWebStream(source), filename: fileName });
  const to =
    'passphrase' in protection
      ? { passwords: [protection.passphrase] }
      : { encryptionKeys: await readRecipientKey(protection.recipientKey) };
  const encrypted = await openpgp.encrypt({
    message,
    ...to,
    format: 'binary',
    config: writeConfig(openpgp),
  });
  yield* encrypted as unknown as AsyncIterable<Uint8Array>;
}

/**
 * Decrypts, binary or armored. What it yields is authentic only once it has ended without an error.
 * @throws {BackupError} `BACKUP_UNREADABLE`, whatever is wrong
 */
export async function* decryptStream(
  source: AsyncIterable<Uint8Array>,
  passphrase: string,
  isArmored: boolean,
): AsyncGenerator<Uint8Array> {
  const failure: { source?: Error } = {};
  const stall = new StallGuard();
  const guarded = keepFailure(source, failure, () => stall.sourceEnded());
  const openpgp = await loadOpenPgp();
  try {
    const message: OpenPgp.Message<OpenPgp.MaybeStream<string | Uint8Array>> = isArmored
      ? await openpgp.readMessage({ armoredMessage: toTextStream(guarded), config: READ_CONFIG })
      : await openpgp.readMessage({ binaryMessage: toWebStream(guarded), config: READ_CONFIG });
    checkRecipients(openpgp.enums, message);
    const { data } = await stall.wait(
      openpgp.decrypt({ message, passwords: [passphrase], format: 'binary', config: READ_CONFIG }),
    );
    yield* stall.watched(data as AsyncIterable<Uint8Array>);
  } catch (error) {
    if (failure.source !== undefined) throw failure.source;
    if (error instanceof BackupError) throw error;
    throw new BackupError('BACKUP_UNREADABLE');
  }
}

/** Whether a binary file is an OpenPGP message that is encrypted for the holder of the key. */
export async function isEncryptedTo(
  source: AsyncIterable<Uint8Array>,
  recipientKey: string,
): Promise<boolean> {
  const openpgp = await loadOpenPgp();
  const key = await (await readRecipientKey(recipientKey)).getEncryptionKey();
  try {
    const message = await openpgp.readMessage({
      binaryMessage: toWebStream(source),
      config: READ_CONFIG,
    });
    const wanted = key.getKeyID().toHex();
    return message.getEncryptionKeyIDs().some((id) => id.toHex() === wanted);
  } catch {
    return false;
  }
}

/** Longest that the library computes once it has read all. */
const STALL_LIMIT_MS = 15_000;

/**
 * What a wrong key makes of a message can begin as a packet that the library waits for the rest of,
 * for ever. It has read all by then, so what takes long after that never ends.
 */
class StallGuard {
  #hasSourceEnded = false;
  #refuse: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  sourceEnded(): void {
    this.#hasSourceEnded = true;
    this.#arm();
  }

  /** @throws {BackupError} `BACKUP_UNREADABLE` where it does not end */
  async wait<T>(work: Promise<T>): Promise<T> {
    const stalled = new Promise<never>((_, reject) => {
      this.#refuse = () => reject(new BackupError('BACKUP_UNREADABLE'));
    });
    this.#arm();
    try {
      return await Promise.race([work, stalled]);
    } finally {
      clearTimeout(this.#timer);
      this.#refuse = undefined;
    }
  }

  /** Waits for the library only, not for whoever reads. */
  async *watched<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = source[Symbol.asyncIterator]();
    try {
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- one piece after the other
        const next = await this.wait(iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      // Not waited for: one that does not end would never end here either.
      iterator.return?.().catch(() => undefined);
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (!this.#hasSourceEnded || this.#refuse === undefined) return;
    this.#timer = setTimeout(this.#refuse, STALL_LIMIT_MS);
  }
}

/** Remembers an error of the source (an upload that was cut off, a limit), which is not the file's fault. */
async function* keepFailure(
  source: AsyncIterable<Uint8Array>,
  failure: { source?: Error },
  onEnd: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
    onEnd();
  } catch (error) {
    failure.source = error instanceof Error ? error : new Error('the source failed');
    throw error;
  }
}

function toTextStream(source: AsyncIterable<Uint8Array>): ReadableStream<string> {
  // Armor is ASCII: any byte is one character, and the reader refuses what is no armor.
  return toWebStream(source).pipeThrough(
    new TransformStream<Uint8Array, string>({
      transform: (piece, controller) => {
        controller.enqueue(Buffer.from(piece).toString('latin1'));
      },
    }),
  );
}

function checkRecipients(
  { packet }: typeof OpenPgp.enums,
  message: OpenPgp.Message<OpenPgp.MaybeStream<string | Uint8Array>>,
): void {
  const { symEncryptedSessionKey, publicKeyEncryptedSessionKey } = packet;
  const keys = message.packets.filterByTag(symEncryptedSessionKey, publicKeyEncryptedSessionKey);
  if (keys.length > BACKUP_LIMITS.openPgpRecipients) {
    throw new BackupError('BACKUP_REFUSED', 'it is encrypted for too many recipients');
  }
}
