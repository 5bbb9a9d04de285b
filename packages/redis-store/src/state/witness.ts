/**
 * The local witness `<datadir>/vault-state`: what this machine last knew of the database. It is the
 * floor under the seal: a seal that is missing, older, or of another database means that Redis was
 * rolled back or replaced.
 *
 * It is written before each change of the seal (with the change as `next`) and after it, synced both
 * times, so that at any instant the seal in Redis is one of the two that it names, or newer.
 */
import { randomUUID } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isKeyId } from '@vault/crypto';
import { replaceFile, syncFolder } from '@vault/crypto/files';
import type { KeyId, KeyRing } from '@vault/crypto';
import { DATABASE_ORIGINS, DATABASE_STATES } from './database-state.js';
import type { DatabaseOrigin, DatabaseState } from './database-state.js';
import { StateStaleError } from '../errors.js';
import { isMissingFile } from '../error-message.js';
import { isTombstone } from './seal.js';
import type { SealContent } from './seal.js';
import { DATA_FOLDER } from '../files/data-folder.js';

const WITNESS_MODE = 0o600;

/** One state of the database, as far as the witness keeps it. */
export interface WitnessedState {
  readonly databaseId: string;
  /** 0: no seal of this database was ever written for certain. */
  readonly epoch: number;
  readonly state: DatabaseState;
  readonly keyId: KeyId | null;
  readonly origin: DatabaseOrigin;
  readonly pinned: boolean;
  /** Keys whose lines are kept and to be deleted: where the seal is lost, they come back from here. Absent: none. */
  readonly inactiveKeyIds?: readonly KeyId[] | undefined;
  /** As in the seal. Absent: none. */
  readonly pendingKeyId?: KeyId | null | undefined;
}

export interface WitnessContent extends WitnessedState {
  readonly v: 1;
  /** The change of the seal that was about to be made. */
  readonly next: WitnessedState | null;
  /** Keys whose lines are being removed: what a crash left of them still has to go. */
  readonly removing?: readonly KeyId[];
}

function isWitnessedState(value: unknown): value is WitnessedState {
  if (typeof value !== 'object' || value === null) return false;
  const { databaseId, epoch, state, keyId, origin, pinned } = value as Record<string, unknown>;
  const { inactiveKeyIds = [], pendingKeyId = null } = value as Record<string, unknown>;
  return (
    typeof databaseId === 'string' &&
    Number.isSafeInteger(epoch) &&
    DATABASE_STATES.includes(state as DatabaseState) &&
    (keyId === null || isKeyId(keyId)) &&
    DATABASE_ORIGINS.includes(origin as DatabaseOrigin) &&
    typeof pinned === 'boolean' &&
    Array.isArray(inactiveKeyIds) &&
    inactiveKeyIds.every(isKeyId) &&
    (pendingKeyId === null || isKeyId(pendingKeyId))
  );
}

/** What the witness keeps of a seal that counts as a whole. */
export function witnessed(of: WitnessedState): WitnessedState {
  const { databaseId, epoch, state, keyId, origin, pinned } = of;
  const { inactiveKeyIds = [], pendingKeyId = null } = of;
  return { databaseId, epoch, state, keyId, origin, pinned, inactiveKeyIds, pendingKeyId };
}

export class Witness {
  readonly path: string;
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = dataDir;
    this.path = join(dataDir, DATA_FOLDER.witness.name);
  }

  /** @returns `undefined` when there is none, `'malformed'` when what is there cannot be read as one */
  async read(): Promise<WitnessContent | 'malformed' | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (isMissingFile(error)) return undefined;
      throw error;
    }
    try {
      const content: unknown = JSON.parse(text);
      if (!isWitnessedState(content)) return 'malformed';
      const { v, next, removing = [] } = content as WitnessContent;
      return v === 1 && (next === null || isWitnessedState(next)) && removing.every(isKeyId)
        ? (content as WitnessContent)
        : 'malformed';
    } catch {
      return 'malformed';
    }
  }

  /** Before a change of the seal: what is now, and what shall be. */
  async prepare(current: WitnessedState | undefined, next: WitnessedState): Promise<void> {
    const floor = current ?? { ...next, epoch: 0, state: 'plaintext', keyId: null, pinned: false };
    await this.#write({ v: 1, ...witnessed(floor), next: witnessed(next) });
  }

  /** After a change of the seal, or when a newer authentic seal was read. */
  async commit(state: WitnessedState): Promise<void> {
    await this.#write({ v: 1, ...witnessed(state), next: null });
  }

  /** Before lines of keys are removed, which cannot be done at one instant. */
  async noteRemoval(state: WitnessedState, removing: readonly KeyId[]): Promise<void> {
    await this.#write({ v: 1, ...witnessed(state), next: null, removing });
  }

  /** Tells the next start that a new database begins here: what is left of an old one is no reason to stop. */
  async expectNew(): Promise<void> {
    const database = { databaseId: randomUUID(), origin: 'switched-on', pinned: false } as const;
    await this.commit({ ...database, epoch: 0, state: 'plaintext', keyId: null });
  }

  /** Puts the witness aside, for an operator who accepts what Redis holds now. @returns the new path */
  async putAside(nowMs: number): Promise<string> {
    const aside = join(this.#folder, `${DATA_FOLDER.formerWitness.name}${nowMs}`);
    await rename(this.path, aside);
    await syncFolder(this.#folder);
    return aside;
  }

  /** Never back in time: a process that slept while another one used this folder would have that one's work refused. */
  async #write(content: WitnessContent): Promise<void> {
    const stands = await this.read();
    const isOfThisDatabase = typeof stands === 'object' && stands.databaseId === content.databaseId;
    if (isOfThisDatabase && stands.epoch > content.epoch) {
      throw new StateStaleError('another process with this data folder changed the state');
    }
    // A removal that was begun and not ended is known as long as the key is to be deleted.
    const begun = isOfThisDatabase ? (stands.removing ?? []) : [];
    const removing = content.removing ?? begun.filter((id) => content.inactiveKeyIds?.includes(id));
    const noted = { ...content, ...(removing.length > 0 && { removing }) };
    await replaceFile(this.path, `${JSON.stringify(noted)}\n`, { mode: WITNESS_MODE });
  }
}

/** Whether a seal is the very change that was about to be made. */
export function isSame(seal: SealContent, next: WitnessedState | null): boolean {
  return (
    next !== null &&
    next.databaseId === seal.databaseId &&
    next.epoch === seal.epoch &&
    next.state === seal.state &&
    next.keyId === seal.keyId
  );
}

/** The seal of an encrypted database that was lost, as far as the witness knows it. */
export function sealOfWitness(known: WitnessedState, fresh: SealContent): SealContent {
  const { epoch, keyId, origin, pinned, inactiveKeyIds = [], pendingKeyId = null } = known;
  if (keyId === null) throw new TypeError('the witness knows of no key');
  // Which of the other keys are ours went with the seal, and is known here, too.
  const keys = {
    keyId,
    inactiveKeyIds: inactiveKeyIds.filter((id) => id !== keyId),
    pendingKeyId: pendingKeyId === keyId ? null : pendingKeyId,
  };
  const state = { state: 'encrypted', activeSinceMs: Date.now(), bootstrapped: true } as const;
  return { ...fresh, ...state, ...keys, epoch: epoch + 1, origin, pinned };
}

/** More changes than any database makes while one of its servers is away: 1 a second takes 12 days. */
const EPOCHS_AHEAD_MAX = 2 ** 20;
/** Room below for 2³³ jumps of that length. */
const EPOCH_UNKNOWN_MAX = 2 ** 40;

/**
 * Nobody signs the epoch of a plaintext seal, and every later one is higher: near the last integer
 * that there is, the database could never be changed again.
 * @param knownEpoch 0: none is known
 */
export function epochObjection(
  { keyId, epoch }: Pick<SealContent, 'keyId' | 'epoch'>,
  knownEpoch: number,
): string | undefined {
  const max = knownEpoch === 0 ? EPOCH_UNKNOWN_MAX : knownEpoch + EPOCHS_AHEAD_MAX;
  if (keyId !== null || epoch <= max) return undefined;
  return `the seal says plaintext at epoch ${epoch}, which no database reaches by itself: somebody put it there`;
}

/** How a seal stands to the witness: `undefined` when nothing speaks against it, else one sentence. */
export function witnessObjection(
  witness: WitnessContent | undefined,
  seal: SealContent | undefined,
  prefix: string,
  ring: KeyRing,
): string | undefined {
  if (seal !== undefined) {
    const objection = epochObjection(seal, witness?.epoch ?? 0);
    if (objection !== undefined) return objection;
  }
  if (witness === undefined) return undefined;
  if (seal === undefined) {
    return witness.epoch === 0
      ? undefined
      : `the seal is missing, though this server knew the database ${witness.state} at epoch ${witness.epoch}: Redis was emptied, rolled back or replaced`;
  }
  if (witness.epoch > 0 && witness.databaseId !== seal.databaseId) {
    return `Redis holds database ${seal.databaseId}, this server knows database ${witness.databaseId}`;
  }
  if (seal.epoch < witness.epoch) {
    return `the seal is of epoch ${seal.epoch}, this server knew epoch ${witness.epoch}: Redis was rolled back`;
  }
  if (seal.epoch === witness.epoch) {
    return seal.state === witness.state && seal.keyId === witness.keyId
      ? undefined
      : `the seal says ${seal.state} at epoch ${seal.epoch}, where this server knew ${witness.state}`;
  }
  if (seal.keyId !== null || witness.keyId === null || isSame(seal, witness.next)) return undefined;
  const { retired, databaseId } = seal;
  return retired !== null &&
    retired.epoch > witness.epoch &&
    isTombstone(retired, prefix, databaseId, ring)
    ? undefined
    : `the seal says plaintext, this server knew the database ${witness.state} under key ${witness.keyId}, and no such key signed that it was decrypted`;
}
