/** Takes the layers off a backup file: OpenPGP and gzip around JSON, told apart by their first bytes. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { BackupError } from './errors.js';
import type { ImportProtection } from './import-protection.js';
import { BACKUP_LIMITS } from './limits.js';
import { decryptStream } from './open-pgp.js';

type Layer = 'gzip' | 'open-pgp' | 'armored-open-pgp' | 'json' | 'unknown';

const ARMOR_HEAD = Buffer.from('-----BEGIN PGP MESSAGE-----');
/** Longest beginning that is looked at. */
const HEAD_BYTES = ARMOR_HEAD.length;

function layerOf(head: Buffer): Layer {
  const [first = 0, second = 0] = head;
  if (first === 0x1f && second === 0x8b) return 'gzip';
  if (head.equals(ARMOR_HEAD)) return 'armored-open-pgp';
  // RFC 4880 §4.2: bit 7 of a packet's first byte is always one.
  if ((first & 0x80) !== 0 && head.length > 1) return 'open-pgp';
  return head.toString('latin1').trimStart().startsWith('{') ? 'json' : 'unknown';
}

/**
 * The JSON bytes inside a file.
 * @param protection what the file must have around them; `any` where the caller takes both kinds
 * @throws {BackupError}
 */
export async function* openContainer(
  source: AsyncIterable<Uint8Array>,
  protection: ImportProtection | { readonly any: string | undefined },
): AsyncGenerator<Uint8Array> {
  const passphrase = passphraseOf(protection);
  let inside: AsyncIterable<Uint8Array> = source;
  let isProtected = false;
  for (let depth = 0; depth <= BACKUP_LIMITS.layers; depth++) {
    // oxlint-disable-next-line no-await-in-loop -- a layer is known only after the one around it
    const { head, whole } = await peek(inside);
    const layer = layerOf(head);
    switch (layer) {
      case 'json':
        if (!isProtected) checkMayBeOpen(protection);
        yield* whole;
        return;
      case 'gzip':
        inside = gunzip(whole);
        break;
      case 'open-pgp':
      case 'armored-open-pgp':
        if (passphrase === undefined) throw new BackupError('BACKUP_PASSPHRASE_NEEDED');
        inside = decryptStream(whole, passphrase, layer === 'armored-open-pgp');
        isProtected = true;
        break;
      case 'unknown':
        throw new BackupError('BACKUP_UNREADABLE');
    }
  }
  throw new BackupError('BACKUP_REFUSED', `more than ${BACKUP_LIMITS.layers} layers`);
}

function passphraseOf(
  protection: ImportProtection | { readonly any: string | undefined },
): string | undefined {
  if (protection === 'unprotected') return undefined;
  return 'any' in protection ? protection.any : protection.passphrase;
}

/** @throws {BackupError} `BACKUP_NOT_ENCRYPTED` where a passphrase says that the file is encrypted */
function checkMayBeOpen(protection: ImportProtection | { readonly any: unknown }): void {
  if (protection === 'unprotected' || 'any' in protection) return;
  throw new BackupError('BACKUP_NOT_ENCRYPTED');
}

/** The first bytes, and everything again from the start. */
async function peek(
  source: AsyncIterable<Uint8Array>,
): Promise<{ head: Buffer; whole: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < HEAD_BYTES) {
    // oxlint-disable-next-line no-await-in-loop -- pieces come one after the other
    const next = await iterator.next();
    if (next.done === true) break;
    pieces.push(next.value);
    bytes += next.value.byteLength;
  }
  const head = Buffer.concat(pieces).subarray(0, HEAD_BYTES);
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* pieces;
      yield* { [Symbol.asyncIterator]: () => iterator };
    } finally {
      await iterator.return?.();
    }
  };
  return { head, whole: whole() };
}

async function* gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip();
  const fed = pipeline(Readable.from(source, { objectMode: false }), unzip);
  // The reading below fails with the same error; this only keeps it from being reported twice.
  fed.catch(() => undefined);
  try {
    yield* unzip;
    await fed;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw code.startsWith('Z_') ? new BackupError('BACKUP_UNREADABLE') : error;
  }
}
