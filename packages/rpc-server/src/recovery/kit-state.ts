/**
 * `<datadir>/recovery-kit-state`: for which key a recovery kit was made, and when it last opened the
 * database. No secret; authenticated under that key, so that nobody but a holder of it says so.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isKeyId } from '@vault/crypto';
import type { VaultKey } from '@vault/crypto';
import { replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';
import type { KeyRing } from '@vault/redis-store';

export const KIT_STATE_FILE = DATA_FOLDER.kitState.name;
const MODE = 0o600;
const LABEL = 'recovery-kit';

/** What is known of the kit of one key. */
export interface KitState {
  readonly keyId: string;
  /** ISO 8601 */
  readonly createdAt: string;
  /** When it, or the pair that was then encrypted for a public key, last opened the database. ISO 8601 */
  readonly provenAt: string;
  /** What opens it. */
  readonly protection: 'passphrase' | 'public key' | 'unknown';
}

/** Part of the status: the kit of the active key. */
export interface KitNote {
  /** `null` when none was made for the active key, or the database is plaintext. */
  readonly recoveryKit: KitState | null;
}

/** What the file says, proven or not. */
interface ReadKitState {
  readonly state: KitState;
  readonly json: string;
  readonly mac: Buffer;
}

/** @returns `undefined` when it is missing or damaged: there is no kit to speak of */
async function readFileOf(dataDir: string): Promise<ReadKitState | undefined> {
  try {
    const text = await readFile(join(dataDir, KIT_STATE_FILE), 'utf8');
    const [json = '', mac = ''] = text.split('\n');
    const state = JSON.parse(json) as KitState;
    const isWhole = isKeyId(state.keyId) && !Number.isNaN(Date.parse(state.createdAt));
    return isWhole ? { state, json, mac: Buffer.from(mac, 'base64url') } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param ring with the key that the state was written under
 * @returns `undefined` when there is none, or none that a holder of its key wrote
 */
export async function readKitState(dataDir: string, ring: KeyRing): Promise<KitState | undefined> {
  const read = await readFileOf(dataDir);
  if (read === undefined) return undefined;
  const id = ring.ids.find((each) => each === read.state.keyId);
  const key = id === undefined ? undefined : ring.byId(id);
  return key?.isMac('audit', read.mac, LABEL, read.json) === true ? read.state : undefined;
}

/** What the file says while its key is lost: a hint for an operator, and nothing more. */
export async function readUnprovenKitState(dataDir: string): Promise<KitState | undefined> {
  return (await readFileOf(dataDir))?.state;
}

export async function writeKitState(
  dataDir: string,
  state: KitState,
  key: VaultKey,
): Promise<void> {
  const json = JSON.stringify(state);
  const mac = key.mac('audit', LABEL, json).toString('base64url');
  const path = join(dataDir, KIT_STATE_FILE);
  await replaceFile(path, `${json}\n${mac}\n`, { mode: MODE });
}

/** The kit of the active key, for the status. */
export async function kitNote(
  dataDir: string,
  activeKeyId: string | null,
  ring: KeyRing,
): Promise<KitNote> {
  if (activeKeyId === null) return { recoveryKit: null };
  const state = await readKitState(dataDir, ring);
  return { recoveryKit: state?.keyId === activeKeyId ? state : null };
}
