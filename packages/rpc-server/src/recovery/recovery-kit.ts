/**
 * The recovery kit: both halves of the active key, with where they belong, in one OpenPGP file that
 * any OpenPGP program opens. Inside it is one JSON object:
 *
 * ```
 * {"format":"vault-recovery-kit","version":1,"createdAt":"2026-11-22T07:30:00.000Z",
 *  "databaseId":"…","prefix":"vault","keyId":"<16 hex>",
 *  "halfA":{"source":"xenstore","place":"vm-data/vault-encryption-key","line":"<key id>:<64 hex>"},
 *  "halfB":{"source":"file","place":"/var/lib/…","line":"<key id>:<64 hex>"},
 *  "how":"…"}
 * ```
 *
 * Whoever has the kit and what opens it has the whole key: it belongs where neither half is.
 */
import { isKeyId, KeyHalf, VaultKey } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import type { HalfPair } from '@vault/keystore';
import { openContainer } from '../backup/container.js';
import { BackupError } from '../backup/errors.js';
import { encryptStream } from '../backup/open-pgp.js';
import type { BackupProtection } from '../backup/open-pgp.js';
import { RecoveryKitError } from './errors.js';

const FORMAT = 'vault-recovery-kit';
const VERSION = 1;
/** Name of the content, which OpenPGP programs offer for saving it. */
const CONTENT_NAME = 'recovery-kit.json';
/** Far more than a kit has. */
const KIT_BYTES_MAX = 64 * 1024;

const HOW = [
  'This is the whole encryption key of a Vault credential database. Keep it apart from the server, its backups and its Redis.',
  '`vault-server recovery-kit restore <this file>` puts back each half that is missing.',
  'By hand: the line of each half goes to its place; a file has mode 0400 and belongs to the user of the server.',
].join(' ');

/** Where a half belongs. */
export interface KitPlace {
  readonly source: string;
  readonly place: string;
}

/** What stands in a kit beside the secret. */
export interface KitFacts {
  /** ISO 8601 */
  readonly createdAt: string;
  readonly databaseId: string;
  readonly prefix: string;
  readonly halfA: KitPlace;
  readonly halfB: KitPlace;
}

/** A kit that was read. Whoever holds it destroys both halves. */
export interface RecoveryKit extends KitFacts {
  readonly pair: HalfPair;
}

const UNREADABLE =
  'the recovery kit cannot be read: wrong passphrase, or not a whole and unaltered kit; one for a public key is opened by its holder: gpg --decrypt kit.pgp | vault-server recovery-kit restore -';

/** The bytes of the file. */
export function writeKit(
  pair: HalfPair,
  { halfA, halfB, ...facts }: KitFacts,
  protection: BackupProtection,
): AsyncGenerator<Uint8Array> {
  const { keyId } = pair;
  const content = JSON.stringify({
    format: FORMAT,
    version: VERSION,
    ...facts,
    keyId,
    halfA: { ...halfA, line: `${keyId}:${pair.halfA.unsafeHex()}` },
    halfB: { ...halfB, line: `${keyId}:${pair.halfB.unsafeHex()}` },
    how: HOW,
  });
  return encryptStream(once(Buffer.from(`${content}\n`)), protection, CONTENT_NAME);
}

/**
 * Opens a kit, and proves that its halves give its key.
 * @param passphrase `undefined` for a kit that was decrypted already
 * @throws {RecoveryKitError}
 */
export async function readKit(
  source: AsyncIterable<Uint8Array>,
  passphrase: string | undefined,
): Promise<RecoveryKit> {
  const bytes = await openKit(source, passphrase);
  try {
    return parseKit(JSON.parse(bytes.toString()));
  } catch (error) {
    throw error instanceof RecoveryKitError ? error : unreadable();
  } finally {
    bytes.fill(0);
  }
}

async function openKit(
  source: AsyncIterable<Uint8Array>,
  passphrase: string | undefined,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of openContainer(source, { any: passphrase })) {
      size += piece.byteLength;
      if (size > KIT_BYTES_MAX) throw unreadable();
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  } catch (error) {
    if (!(error instanceof BackupError)) throw error;
    throw unreadable();
  } finally {
    for (const piece of pieces) piece.fill(0);
  }
}

function unreadable(): RecoveryKitError {
  return new RecoveryKitError('KIT_UNREADABLE', UNREADABLE);
}

function parseKit(content: unknown): RecoveryKit {
  const { format, version, createdAt, databaseId, prefix, keyId, halfA, halfB } = record(content);
  if (format !== FORMAT) throw unreadable();
  if (version !== VERSION) {
    throw new RecoveryKitError(
      'KIT_UNREADABLE',
      'the recovery kit was written by another version of the format',
    );
  }
  if (!isKeyId(keyId)) throw unreadable();
  return {
    createdAt: text(createdAt),
    databaseId: text(databaseId),
    prefix: text(prefix),
    halfA: placeOf(halfA),
    halfB: placeOf(halfB),
    pair: pairOf(keyId, text(record(halfA)['line']), text(record(halfB)['line'])),
  };
}

function pairOf(keyId: KeyId, lineA: string, lineB: string): HalfPair {
  const pair = { keyId, halfA: halfOf(keyId, lineA), halfB: halfOf(keyId, lineB) };
  const key = VaultKey.derive(pair.halfA, pair.halfB);
  key.destroy();
  if (key.id === keyId) return pair;
  destroyPair(pair);
  throw new RecoveryKitError(
    'KIT_UNREADABLE',
    `the halves in the recovery kit do not give its key ${keyId}`,
  );
}

function halfOf(keyId: KeyId, line: string): KeyHalf {
  if (!line.startsWith(`${keyId}:`)) throw unreadable();
  return KeyHalf.fromHex(line.slice(keyId.length + 1));
}

function placeOf(value: unknown): KitPlace {
  const { source, place } = record(value);
  return { source: text(source), place: text(place) };
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return { ...value };
  throw unreadable();
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw unreadable();
}

/** Zeroes both halves. */
export function destroyPair({ halfA, halfB }: HalfPair): void {
  halfA.destroy();
  halfB.destroy();
}

// oxlint-disable-next-line require-await -- an async generator is what the encryption reads
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
