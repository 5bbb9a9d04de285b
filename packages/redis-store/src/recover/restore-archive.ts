/**
 * Puts an archived database back. What Redis holds now is archived in its turn, and removed, only after every key
 * of the archive was given to Redis under a temporary name, and taken.
 *
 * An archive is anybody's who can write the file. Its envelopes and its seal say by themselves that a holder of the
 * key made them; plaintext says nothing, and is believed on the word of whoever calls.
 */
import { isEnvelope } from '@vault/crypto';
import type { KeyId, KeyRing } from '@vault/crypto';
import { messageOf } from '../error-message.js';
import { OperationRefusedError, RedisRefusedError } from '../errors.js';
import { checkArchive, readArchive } from '../files/archive-file.js';
import type { ArchivedKey } from '../files/archive-file.js';
import type { RedisLink } from '../redis/redis-link.js';
import { isAuthenticSeal, parseSeal } from '../state/seal.js';
import type { ParsedSeal, ReadSeal } from '../state/seal.js';
import { wholeRing } from '../state/load-keys.js';
import { beliefOf } from '../state/plaintext-belief.js';
import { epochObjection, Witness } from '../state/witness.js';
import type { WitnessedState } from '../state/witness.js';
import { isKept, underLock } from './alone.js';
import type { ArchiveOptions, Work } from './alone.js';
import { archive } from './archive.js';
import type { ArchiveReport } from './archive.js';

/** What the seal in an archive is worth. */
export type ArchivedSeal =
  /** a key that is there made it */
  | 'authentic'
  /** a key that is there made it, or may have, in the middle of an encryption or decryption: plaintext is believed */
  | 'half-done'
  /** it names a key that is not there */
  | 'key-missing'
  /** it names a key that is there, and which did not make it */
  | 'forged'
  /** it says plaintext, which anybody can write */
  | 'plaintext'
  /** there is none, or it cannot be read */
  | 'none';

/** What an archive holds, as Redis took it; nothing in it is believed for that. */
export interface ArchiveInspection {
  readonly keys: number;
  readonly records: number;
  /** Counted here: what the file says of itself is the word of whoever wrote it. */
  readonly plaintextRecords: number;
  readonly seal: ArchivedSeal;
  /** As the seal names it. */
  readonly keyId: KeyId | null;
  /** By which {@link restoreArchive} knows that it is still the same file. */
  readonly sha256: string;
}

export interface RestoreArchiveOptions extends ArchiveOptions {
  /** Believes what nothing proves: plaintext records, and a seal that no key made or that has plaintext believed. Default `false`. */
  readonly allowUnprotected?: boolean;
}

/** What was put back. */
export interface RestoreArchiveReport extends ArchiveInspection {
  /** What stood there before. */
  readonly archived: ArchiveReport;
}

/** Keys under way at once: at most 1 MiB each. */
const KEYS_AT_ONCE = 32;
/** What a killed run leaves of its temporary keys is gone after this. */
const PROOF_TTL_MS = 30_000;

/**
 * Looks at an archive, and gives every key of it to Redis under a temporary name; changes nothing.
 * @throws {OperationRefusedError} when it is not whole, of another prefix, or Redis does not take it
 */
export async function inspectArchive(
  path: string,
  options: ArchiveOptions,
): Promise<ArchiveInspection> {
  return underLock(options, async (work) => (await inspect(path, work)).inspection);
}

/**
 * Puts it back, and makes the witness that of its seal: a start takes no other state for this database.
 * @throws {OperationRefusedError} as {@link inspectArchive}, or when it holds what nothing proves: nothing was changed
 */
export async function restoreArchive(
  path: string,
  options: RestoreArchiveOptions,
): Promise<RestoreArchiveReport> {
  return underLock(options, async (work) => {
    const { inspection, believed } = await inspect(path, work);
    const objection = objectionTo(inspection);
    if (objection !== undefined && options.allowUnprotected !== true) {
      throw new OperationRefusedError(
        `${objection}: put back, it would be believed (vault-server does it with --allow-unprotected); nothing was changed`,
      );
    }
    await work.step('restore-proven');
    const archived = await archive(work);
    await putBack(path, inspection, work);
    // That of the file: what Redis holds by now may be somebody else's.
    if (believed !== undefined) await new Witness(options.dataDir).commit(believed);
    await work.step('restore-witnessed');
    return { ...inspection, archived };
  });
}

/** One sentence: what of an archive nothing proves; `undefined` where its key does. */
export function objectionTo({
  seal,
  records,
  plaintextRecords,
}: ArchiveInspection): string | undefined {
  const what = SEAL_OBJECTIONS[seal];
  const objections = [
    ...(what === undefined ? [] : [what]),
    ...(plaintextRecords === 0
      ? []
      : [
          `${plaintextRecords} of its ${records} records are plaintext, which anybody can have written`,
        ]),
  ];
  return objections.length === 0 ? undefined : objections.join(', and ');
}

const SEAL_OBJECTIONS = {
  authentic: undefined,
  // Nothing is served before the key is there, and by then it is proven.
  'key-missing': undefined,
  'half-done':
    'the archive is of a database in the middle of being encrypted or decrypted, where plaintext that anybody can have written is believed',
  forged: 'no holder of the key that the archive names made its seal',
  plaintext: 'the archive says that it is of a plaintext database, which anybody can have written',
  none: 'the archive has no seal that can be read',
} as const satisfies Record<ArchivedSeal, string | undefined>;

interface Inspected {
  readonly inspection: ArchiveInspection;
  /** What the witness knows from then on. */
  readonly believed: WitnessedState | undefined;
}

async function inspect(path: string, work: Work): Promise<Inspected> {
  const { link, options, progress } = work;
  const { prefix, keys: total, sha256 } = await refused(checkArchive(path));
  if (prefix !== link.names.prefix) {
    throw new OperationRefusedError(
      `the archive is of the prefix "${prefix}", the configuration says "${link.names.prefix}"`,
    );
  }
  let keys = 0;
  let records = 0;
  let plaintextRecords = 0;
  let seal: ParsedSeal | undefined;
  for await (const batch of batchesOf(path, sha256, link)) {
    const found = await Promise.all(batch.map((archived, n) => prove(link, archived, n)));
    for (const { isPlaintextRecord, sealBytes } of found) {
      if (isPlaintextRecord !== undefined) records++;
      if (isPlaintextRecord === true) plaintextRecords++;
      if (sealBytes !== undefined) seal = parseSeal(sealBytes.toString());
    }
    keys += batch.length;
    progress('prove', keys, total);
    await work.step('restore-prove-batch');
  }
  const parsed = typeof seal === 'object' ? seal : undefined;
  const isPossible = parsed !== undefined && epochObjection(parsed.content, 0) === undefined;
  const read = isPossible ? parsed : undefined;
  // A half without its label proves a seal just as well: that the state does not name it yet says nothing.
  const ring = wholeRing(await options.custody.load());
  const keyId = read?.content.keyId ?? null;
  const worth = worthOf(read, prefix, ring);
  return {
    inspection: { keys, records, plaintextRecords, keyId, sha256, seal: worth },
    believed: read === undefined ? undefined : beliefOfArchive(read, prefix, ring),
  };
}

function worthOf(seal: ReadSeal | undefined, prefix: string, ring: KeyRing): ArchivedSeal {
  if (seal === undefined) return 'none';
  const { keyId, state } = seal.content;
  if (keyId === null) return 'plaintext';
  const isKeyHere = ring.byId(keyId) !== undefined;
  if (isKeyHere && !isAuthenticSeal(seal, prefix, ring)) return 'forged';
  // Its right MAC says that it was made once, and it stays right as long as the key is there.
  if (state === 'encrypting' || state === 'decrypting') return 'half-done';
  return isKeyHere ? 'authentic' : 'key-missing';
}

/**
 * Of a seal that no key proves yet only what the fences prove later counts; where that seal is lost, a start signs
 * what the witness says. For the rest the safe side: nothing is decrypted by itself, and no other key is ours.
 */
function beliefOfArchive(seal: ReadSeal, prefix: string, ring: KeyRing): WitnessedState {
  const { databaseId, epoch, state, keyId } = seal.content;
  if (keyId === null || isAuthenticSeal(seal, prefix, ring)) {
    return beliefOf(seal.content, undefined, prefix, ring);
  }
  return { databaseId, epoch, state, keyId, origin: 'made-encrypted', pinned: true };
}

interface Proven {
  /** `undefined` of what is no record. */
  readonly isPlaintextRecord: boolean | undefined;
  /** Of the seal. */
  readonly sealBytes: Buffer | undefined;
}

/** Redis reads its own serialization: no other reader of it says what the value will be. */
async function prove(link: RedisLink, { key, dump }: ArchivedKey, n: number): Promise<Proven> {
  const { names } = link;
  const parsed = names.parse(key);
  const partition = parsed === undefined || parsed.kind === 'meta' ? 'meta' : parsed.partition;
  const proof = names.proof(partition, String(n));
  try {
    await link.command('RESTORE', proof, PROOF_TTL_MS, dump, 'REPLACE');
    const isRecord = parsed?.kind === 'record';
    const head = isRecord ? await link.command('GETRANGE', proof, 0, 0) : undefined;
    const sealBytes = key === names.seal ? await link.get(proof) : undefined;
    await link.command('UNLINK', proof);
    const isPlaintextRecord = isRecord ? !(Buffer.isBuffer(head) && isEnvelope(head)) : undefined;
    return { isPlaintextRecord, sealBytes };
  } catch (error) {
    if (!(error instanceof RedisRefusedError)) throw error;
    throw new OperationRefusedError(
      `Redis does not take ${key} of the archive: ${error.message}; where that Redis was a newer one, put it back there. Nothing was changed`,
    );
  }
}

/** What is part of a database, whatever else stands in the file. */
async function* batchesOf(
  path: string,
  sha256: string,
  { names }: RedisLink,
): AsyncGenerator<ArchivedKey[]> {
  let batch: ArchivedKey[] = [];
  for await (const archived of readArchive(path, sha256)) {
    if (!isKept(names, archived.key)) continue;
    batch.push(archived);
    if (batch.length < KEYS_AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function refused<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new OperationRefusedError(messageOf(error));
  }
}

/** Seal and fences come last: a crash leaves no database that looks whole. */
async function putBack(
  path: string,
  { keys: total, sha256 }: ArchiveInspection,
  work: Work,
): Promise<void> {
  const { link, step, progress } = work;
  const { names } = link;
  const last: ArchivedKey[] = [];
  let done = 0;
  const write = async (keys: readonly ArchivedKey[]): Promise<void> => {
    await Promise.all(
      keys.map(({ key, dump }) => link.command('RESTORE', key, 0, dump, 'REPLACE')),
    );
    done += keys.length;
    progress('restore', done, total);
  };
  for await (const batch of batchesOf(path, sha256, link)) {
    const isLast = ({ key }: ArchivedKey): boolean => {
      const kind = names.parse(key)?.kind;
      return kind === 'fence' || kind === 'meta';
    };
    last.push(...batch.filter(isLast));
    await write(batch.filter((archived) => !isLast(archived)));
    await step('restore-batch');
  }
  await step('restore-records');
  await write(last.filter(({ key }) => key !== names.seal));
  await step('restore-fences');
  await write(last.filter(({ key }) => key === names.seal));
  await step('restore-seal');
}
