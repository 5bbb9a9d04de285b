/**
 * *accept-database*: the operator says that what Redis holds now is meant to be there, after a rolled
 * back, replaced or emptied Redis left the server degraded. Run locally; it changes the local witness,
 * takes away a seal that nobody can believe, and nothing that could be lost: both are kept beside.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyId, KeyRing } from '@vault/crypto';
import { replaceFile } from '@vault/crypto/files';
import { checkDefinitions, definitionsHash } from '../records/collection-definition.js';
import type { DatabaseState } from '../state/database-state.js';
import { OperationRefusedError } from '../errors.js';
import { parseFence } from '../state/fence.js';
import type { FenceContent } from '../state/fence.js';
import { refuseForeignRedis } from '../startup/foreign-redis.js';
import { KeyNames } from '../redis/key-names.js';
import { loadKeys } from '../state/load-keys.js';
import { MigrationLock } from '../state/lock.js';
import { manifestPathOf } from '../engine/backup.js';
import type { OpenOptions } from '../open-options.js';
import { currentIdentity } from '../state/process-identity.js';
import { RedisLink } from '../redis/redis-link.js';
import { isAuthenticSeal, parseSeal } from '../state/seal.js';
import type { ReadSeal } from '../state/seal.js';
import { beliefOf } from '../state/plaintext-belief.js';
import { SealKeeper } from '../state/seal-keeper.js';
import { allPartitions, filedCollections } from '../partitions/sealed-definitions.js';
import { encryptedBesidePlaintext, encryptedWithoutSeal } from '../startup/observe.js';
import type { ObserveOptions } from '../startup/observe.js';
import { SILENT_LOGGER } from '../store-logger.js';
import { epochObjection, Witness } from '../state/witness.js';
import type { WitnessContent, WitnessedState } from '../state/witness.js';
import { DATA_FOLDER } from '../files/data-folder.js';
import { countPlaintextRecords } from './plaintext-records.js';

export type AcceptOptions = Pick<
  OpenOptions,
  'redis' | 'prefix' | 'collections' | 'custody' | 'dataDir' | 'logger'
> & {
  /** Believes plaintext records, which anybody can have written. Default `false`. */
  readonly allowUnprotected?: boolean;
};

/** What is accepted from now on. */
export interface AcceptReport {
  /** What was believed: the seal; the fences, which agree where the seal is lost; or that there is no database. */
  readonly basis: 'seal' | 'fences' | 'nothing';
  readonly databaseId: string | undefined;
  readonly state: DatabaseState | undefined;
  readonly keyId: KeyId | null;
  /** Where the witness of before is kept. */
  readonly formerWitness: string | undefined;
  /** Where a seal is kept that could not be believed, and is no longer in Redis. */
  readonly formerSeal: string | undefined;
}

/** How long a server that is starting is waited for. */
const LOCK_WAIT_MS = 2000;
/** A seal that was put aside; it holds no secret. */
const SEAL_MODE = 0o600;

/**
 * Accepts the database that Redis holds.
 * @throws {OperationRefusedError} when it is not one that can be believed, or only with `allowUnprotected`: the message
 *   says why, and nothing was changed
 * @throws {DegradedError} `foreignRedis` when it is another system's
 */
export async function acceptDatabase(options: AcceptOptions): Promise<AcceptReport> {
  checkDefinitions(options.collections);
  const link = await RedisLink.connect(options.redis, new KeyNames(options.prefix));
  try {
    const identity = currentIdentity();
    // Before the lock: that would be written there, too.
    await refuseForeignRedis(link, 'ours');
    const lock = await MigrationLock.acquire(link, identity, { waitMs: LOCK_WAIT_MS });
    try {
      return await acceptUnderLock(options, link, lock);
    } finally {
      await lock.release();
    }
  } finally {
    await link.close();
  }
}

async function acceptUnderLock(
  options: AcceptOptions,
  link: RedisLink,
  lock: MigrationLock,
): Promise<AcceptReport> {
  const witness = new Witness(options.dataDir);
  const report = await loadKeys({ custody: options.custody, link, witness });
  const observing = { link, witness, ring: report.ring, definitions: options.collections };
  const read = await readSeal(link);
  const believed = await believableSeal(read, observing);
  const had = await witness.read();
  const agreed = believed === undefined ? await agreedByFences(observing, had) : undefined;
  const isUntold = believed === undefined && agreed === undefined;
  const seal = isUntold ? await plainByRecords(read, observing) : believed;
  const told = typeof had === 'object' ? had : undefined;
  const accepted: WitnessedState | undefined =
    seal === undefined ? agreed : beliefOf(seal.content, told, link.names.prefix, report.ring);
  if (options.allowUnprotected !== true) await refuseUnprotected(accepted, told, link);
  const formerWitness = had === undefined ? undefined : await witness.putAside(Date.now());
  if (accepted === undefined) await witness.expectNew();
  else await witness.commit(accepted);
  // After the witness: a crash between leaves a seal that the next run takes away.
  const formerSeal = accepted === undefined ? await putSealAside(options, link) : undefined;
  if (seal !== undefined) await restartLostMigration(options, link, lock, witness, seal);
  return {
    basis: seal !== undefined ? 'seal' : accepted !== undefined ? 'fences' : 'nothing',
    databaseId: accepted?.databaseId,
    state: accepted?.state,
    keyId: accepted?.keyId ?? null,
    formerWitness,
    formerSeal,
  };
}

/**
 * Plaintext that is believed becomes authentic with the next encryption. A signed seal of a migration allows that for
 * as long as its key is there, so the right MAC of one says nothing of today.
 * @param accepted `undefined`: a new database of what is there
 * @throws {OperationRefusedError} where plaintext would be believed
 */
async function refuseUnprotected(
  accepted: WitnessedState | undefined,
  told: WitnessContent | undefined,
  link: RedisLink,
): Promise<void> {
  const { state } = accepted ?? { state: 'plaintext' };
  const isHalfDone = state === 'encrypting' || state === 'decrypting';
  if (state !== 'plaintext' && !isHalfDone) return;
  const { records, plaintext } = await countPlaintextRecords(link);
  if (plaintext === 0 && !isHalfDone) return;
  const isOlder =
    accepted !== undefined &&
    told?.databaseId === accepted.databaseId &&
    told.keyId !== null &&
    told.epoch > accepted.epoch;
  const objections = [
    ...(isOlder
      ? [
          `this server knew the database ${told.state} at epoch ${told.epoch}, later than this state`,
        ]
      : []),
    ...(isHalfDone
      ? [`the database is ${state}, and plaintext is believed until that is at its end`]
      : []),
    `${plaintext} of the ${records} records in Redis are plaintext, which anybody can have written`,
  ];
  throw new OperationRefusedError(
    `${objections.join('; ')}: accepted, they would be believed (vault-server does it with --allow-unprotected); nothing was changed`,
  );
}

/** Nothing can be served beside a seal that is damaged, or that no key we have made. @returns the file */
async function putSealAside(
  { dataDir }: AcceptOptions,
  link: RedisLink,
): Promise<string | undefined> {
  const bytes = await link.get(link.names.seal);
  if (bytes === undefined) return undefined;
  const path = join(dataDir, `${DATA_FOLDER.formerSeal.name}${Date.now()}`);
  await replaceFile(path, bytes, { mode: SEAL_MODE });
  await link.command('DEL', link.names.seal);
  return path;
}

/** @returns `undefined` when there is none, it is damaged, or it is none that can come about */
async function readSeal(link: RedisLink): Promise<ReadSeal | undefined> {
  const bytes = await link.get(link.names.seal);
  const parsed = bytes === undefined ? undefined : parseSeal(bytes.toString());
  if (parsed === 'newer-layout') {
    throw new OperationRefusedError('the database was written by a newer version');
  }
  if (typeof parsed !== 'object') return undefined;
  return epochObjection(parsed.content, 0) === undefined ? parsed : undefined;
}

/** @returns `undefined` when there is none, or it is not right: the fences may still tell */
async function believableSeal(
  seal: ReadSeal | undefined,
  options: ObserveOptions,
): Promise<ReadSeal | undefined> {
  const { link, ring } = options;
  if (seal === undefined) return undefined;
  const { keyId } = seal.content;
  if (keyId === null) {
    // Something under a key that we have: then somebody put this seal there, and the fences may tell.
    const objection = await encryptedBesidePlaintext(seal.content, options, {
      isOurs: inRing(ring),
    });
    return objection === undefined ? seal : undefined;
  }
  if (isAuthenticSeal(seal, link.names.prefix, ring)) return seal;
  if (ring.byId(keyId) !== undefined) return undefined;
  // An encryption that changed no record yet needs no key, to an operator who gives it up.
  const encrypted = await encryptedWithoutSeal(options, ['record']);
  if (encrypted === undefined) return undefined;
  throw new OperationRefusedError(
    `the database is under the key ${keyId}, which was not found: put its halves back first, or a backup: vault-server restore-migration-backup for that of a migration, vault-server recover for a config backup`,
  );
}

const inRing =
  (ring: KeyRing) =>
  (id: string): boolean =>
    ring.ids.some((own) => own === id);

/** An encrypted database whose fences, all authentic, say the same. */
async function agreedByFences(
  options: ObserveOptions,
  known: WitnessContent | 'malformed' | undefined,
): Promise<WitnessedState | undefined> {
  const { link, ring, definitions } = options;
  const partitions = allPartitions(filedCollections(link, definitions));
  const contents = new Set<string>();
  let first: FenceContent | undefined;
  for (const partition of partitions) {
    // oxlint-disable-next-line no-await-in-loop -- stops at the first that does not agree
    const fence = parseFence((await partition.readFence()) ?? '');
    const key = fence?.content.keyId == null ? undefined : ring.byId(fence.content.keyId as KeyId);
    const mac = Buffer.from(fence?.mac ?? '', 'base64url');
    if (fence === undefined || key === undefined) return undefined;
    if (!key.isMac('fence', mac, link.names.prefix, partition.name, fence.json)) return undefined;
    contents.add(fence.json);
    first ??= fence.content;
  }
  if (first?.state !== 'encrypted' || contents.size !== 1) return undefined;
  if (first.definitions !== definitionsHash(definitions)) return undefined;
  const { databaseId, epoch, keyId } = first;
  // The fences do not say it: what this machine knew of that database counts, else what decrypts nothing by itself.
  const isKnown = typeof known === 'object' && known.databaseId === databaseId;
  const { origin, pinned } = isKnown
    ? known
    : ({ origin: 'made-encrypted', pinned: false } as const);
  const told = { databaseId, epoch, state: 'encrypted', keyId: keyId as KeyId } as const;
  return { ...told, origin, pinned, ...otherKeys(told.keyId, isKnown ? known : undefined) };
}

/** Fences of before a rotation name a key that was inactive since: it is active again, and the one that was is kept. */
function otherKeys(
  active: KeyId,
  known: WitnessedState | undefined,
): Required<Pick<WitnessedState, 'inactiveKeyIds' | 'pendingKeyId'>> {
  const { keyId = null, inactiveKeyIds = [], pendingKeyId = null } = known ?? {};
  const former = [...inactiveKeyIds, ...(keyId === null ? [] : [keyId])];
  return {
    inactiveKeyIds: [...new Set(former)].filter((id) => id !== active),
    pendingKeyId: pendingKeyId === active ? null : pendingKeyId,
  };
}

/**
 * Where neither seal nor fences tell, the records do. A fence alone does not count: a process that was
 * raising it when Redis came back as it was before the migration leaves one that nothing follows. It
 * protects nobody either: who can plant records can take the fences away.
 * @returns the plaintext seal, or `undefined` where there is no database
 * @throws {OperationRefusedError} when a record is under a key
 */
async function plainByRecords(
  seal: ReadSeal | undefined,
  options: ObserveOptions,
): Promise<ReadSeal | undefined> {
  const plain = seal?.content.keyId === null ? seal : undefined;
  const at = ['record'] as const;
  const objection =
    plain === undefined
      ? await encryptedWithoutSeal(options, at)
      : await encryptedBesidePlaintext(plain.content, options, {
          isOurs: inRing(options.ring),
          at,
        });
  if (objection === undefined) return plain;
  throw new OperationRefusedError(
    `${objection}, and the fences do not agree: restore a whole backup of Redis, or import a config backup`,
  );
}

/** A migration whose manifest is not here can go on only if the operator believes the records as they are. */
async function restartLostMigration(
  options: AcceptOptions,
  link: RedisLink,
  lock: MigrationLock,
  witness: Witness,
  seal: ReadSeal,
): Promise<void> {
  const { migration, state } = seal.content;
  if (migration?.isBackedUp !== true || (state !== 'encrypting' && state !== 'decrypting')) return;
  try {
    await access(manifestPathOf(join(options.dataDir, migration.backup)));
    return;
  } catch {
    // It is lost: a new one is made of what is there.
  }
  const { custody, collections: definitions, logger = SILENT_LOGGER } = options;
  const identity = currentIdentity();
  const parts = { link, witness, custody, identity, definitions, logger };
  const keeper = new SealKeeper(parts, await loadKeys(parts));
  keeper.adopt(seal);
  await keeper.change(lock, { migration: { ...migration, from: 'either', isBackedUp: false } });
}
