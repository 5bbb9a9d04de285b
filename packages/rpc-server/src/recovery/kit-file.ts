/** Recovery kits as files: written whole or not at all, never over another file, and read back. */
import { createReadStream } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { NewFile } from '@vault/crypto/files';
import type { HalfPair } from '@vault/keystore';
import type { BackupProtection } from '../backup/open-pgp.js';
import { RecoveryKitError } from './errors.js';
import { destroyPair, readKit, writeKit } from './recovery-kit.js';
import type { KitFacts, RecoveryKit } from './recovery-kit.js';

/** Whoever reads it still needs what opens it; nobody else has a reason to. */
const MODE = 0o400;

export interface NewKit {
  readonly pair: HalfPair;
  readonly facts: KitFacts;
  readonly protection: BackupProtection;
}

/**
 * Writes a kit, syncs it, and reads it back where it has a passphrase.
 * @param prove gets the kit as read from the file, or `undefined` where a public key keeps us out; its failure removes the file
 * @throws {RecoveryKitError} when a file is there already, or it does not read back
 */
export async function writeKitFile(
  path: string,
  { pair, facts, protection }: NewKit,
  prove: (kit: RecoveryKit | undefined) => Promise<void>,
): Promise<void> {
  await refuseTaken(path);
  const file = await NewFile.create(path, { mode: MODE }).catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    for await (const piece of writeKit(pair, facts, protection)) await file.write(piece);
    await file.finish();
    await proveKit(file.temporaryPath, protection, prove);
    if (!(await file.claim())) throw takenError(path);
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** Before a passphrase is asked for and a kit is proven. */
async function refuseTaken(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found !== undefined) throw takenError(path);
}

async function proveKit(
  path: string,
  protection: BackupProtection,
  prove: (kit: RecoveryKit | undefined) => Promise<void>,
): Promise<void> {
  if (!('passphrase' in protection)) return prove(undefined);
  const kit = await readKit(createReadStream(path), protection.passphrase);
  try {
    await prove(kit);
  } finally {
    destroyPair(kit.pair);
  }
}

/**
 * @param source path, or the bytes of a kit that was decrypted already
 * @param askPassphrase asked only once the file is open
 * @throws {RecoveryKitError}
 */
export async function readKitFile(
  source: string | AsyncIterable<Uint8Array>,
  askPassphrase: (() => Promise<string>) | undefined,
): Promise<RecoveryKit> {
  if (typeof source !== 'string') return readKit(source, undefined);
  const file = await open(source).catch((error: unknown) => {
    throw fileError(source, error);
  });
  try {
    const passphrase = await askPassphrase?.();
    return await readKit(file.createReadStream({ autoClose: false }), passphrase);
  } finally {
    await file.close();
  }
}

function takenError(path: string): RecoveryKitError {
  return new RecoveryKitError('KIT_REFUSED', `${path} is there already`);
}

function fileError(path: string, error: unknown): RecoveryKitError {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException;
  return new RecoveryKitError('KIT_REFUSED', `${path} cannot be used (${code})`);
}
