/** What an operator wants to know of a database; plain JSON, nothing secret. */
import type { CustodyReport, HalfReport, HalvesState, KeyId, KeyPlace } from '@vault/crypto';
import { join } from 'node:path';
import type { DatabaseOrigin, DatabaseState } from './state/database-state.js';
import { missingHalves } from './state/halves-watch.js';
import type { MissingHalf } from './state/halves-watch.js';
import { keyUseOf } from './state/key-use.js';
import { condemnedIn } from './engine/key-removal.js';
import type { CondemnedUntil } from './engine/key-removal.js';
import { isRewriting } from './engine/operation-driver.js';
import type { OperationFailure } from './engine/operation-driver.js';
import type { KeptBecause } from './engine/migration-context.js';
import type { LiveProcess } from './state/processes.js';
import { persistenceOf, persistenceWarnings, snapshotAdvice } from './redis/redis-files.js';
import type { Persistence } from './redis/redis-files.js';
import type { RedisLink } from './redis/redis-link.js';
import type { SealContent } from './state/seal.js';
import { underWayOf } from './under-way.js';
import type { UnderWay } from './under-way.js';

/** Halves, as an operator sees them. */
export interface HalvesStatus {
  readonly state: HalvesState;
  readonly keyIds: readonly KeyId[];
  readonly halves: readonly [HalfReport, HalfReport];
  readonly diagnosis: readonly string[];
  readonly custodyWarnings: readonly string[];
  /** Every place where key material lies. */
  readonly places: readonly KeyPlace[];
}

export interface DatabaseStatus {
  readonly databaseId: string;
  readonly epoch: number;
  readonly state: DatabaseState;
  /** The setting that this process runs with; `null`: absent. */
  readonly encrypt: boolean | null;
  readonly origin: DatabaseOrigin;
  /** To decrypt it takes a confirmation beside the setting. */
  readonly pinned: boolean;
  readonly activeKeyId: KeyId | null;
  /** ISO 8601 */
  readonly activeSince: string | null;
  /** Encryptions under the active key, by all processes, as far as they have reported. */
  readonly encryptions: number;
  /** Whether an operator gave a newer secret than that of the active key: it is replaced by itself. */
  readonly isSuperseded: boolean;
  readonly previousKeyId: KeyId | null;
  readonly pendingKeyId: KeyId | null;
  readonly inactiveKeyIds: readonly KeyId[];
  /** Keys whose lines are to go, and open still: also those that another instance condemned. */
  readonly condemnedKeys: readonly CondemnedUntil[];
  /** Keys in use of which a half is not in its place any more. */
  readonly missingHalves: readonly MissingHalf[];
  readonly halves: HalvesStatus;
  /** A rewriting of every record that goes on beside serving. */
  readonly operation: OperationStatus | null;
  /** A migration that is not finished. */
  readonly migration: { readonly backupPath: string; readonly host: string } | null;
  readonly isImporting: boolean;
  /** A migration, rotation or import that is not at its end, with what to do and what not. */
  readonly underWay: UnderWay | null;
  /** Why keys are kept although the database is plaintext. */
  readonly keptKeysBecause: string | null;
  /** Why the backup of *encrypt* is kept, which holds what was not encrypted before it. */
  readonly keptFilesBecause: string | null;
  readonly collections: Readonly<Record<string, number>>;
  readonly processes: readonly ProcessStatus[];
  readonly redis: readonly Persistence[];
  /** Redis that evicts, or keeps nothing on disk. */
  readonly redisWarnings: readonly string[];
  /** Where plaintext from before *encrypt* may remain, and what to do: one sentence each. */
  readonly residueAdvice: readonly string[];
}

export interface OperationStatus {
  /** What it ends with: another key, or other index definitions. */
  readonly kind: 'rotate' | 'reindex';
  /** Why the last attempt of this process did not come to its end. */
  readonly failed: {
    readonly cause: string;
    readonly advice: string;
    /** ISO 8601: taken up again by itself */
    readonly nextAt: string;
  } | null;
}

export interface ProcessStatus {
  readonly host: string;
  readonly pid: number;
  readonly role: 'server' | 'tool';
  /** Whether it keeps the database encrypted; `null` while it starts. */
  readonly encrypt: boolean | null;
  readonly provenKeyIds: readonly KeyId[];
}

/** What the other parts of the package contribute. */
export interface StatusParts {
  readonly link: RedisLink;
  readonly content: SealContent;
  readonly report: CustodyReport;
  readonly places: readonly KeyPlace[];
  readonly keysInUse: readonly KeyId[];
  readonly deletionGraceMs: number;
  readonly encrypt: boolean | null;
  readonly dataDir: string;
  /** This machine. */
  readonly host: string;
  readonly kept: KeptBecause;
  readonly operationFailure: OperationFailure | undefined;
  readonly isOwnRedis: boolean;
  readonly collections: Readonly<Record<string, number>>;
  readonly processes: readonly LiveProcess[];
}

export function halvesStatus(report: CustodyReport, places: readonly KeyPlace[]): HalvesStatus {
  const { state, ring, halves, diagnosis, custodyWarnings } = report;
  return { state, keyIds: ring.ids, halves, diagnosis, custodyWarnings, places };
}

/** Persistence and eviction of every master, with warnings. */
export async function redisStatus(
  link: RedisLink,
): Promise<{ redis: readonly Persistence[]; redisWarnings: readonly string[] }> {
  const masters = await link.masters();
  const redis = await Promise.all(masters.map(async (node) => persistenceOf(node)));
  return { redis, redisWarnings: persistenceWarnings(redis) };
}

export async function statusOf(parts: StatusParts): Promise<DatabaseStatus> {
  const { link, content, report, processes } = parts;
  const { migration, keyId } = content;
  const use = await keyUseOf(link, content, report);
  const persistence = await redisStatus(link);
  return {
    databaseId: content.databaseId,
    epoch: content.epoch,
    state: content.state,
    encrypt: parts.encrypt,
    origin: content.origin,
    pinned: content.pinned,
    activeKeyId: keyId,
    activeSince:
      content.activeSinceMs === null ? null : new Date(content.activeSinceMs).toISOString(),
    encryptions: use?.encryptions ?? 0,
    isSuperseded: use?.isSuperseded ?? false,
    previousKeyId: content.previousKeyId,
    pendingKeyId: content.pendingKeyId,
    inactiveKeyIds: content.inactiveKeyIds,
    condemnedKeys: condemnedIn(report, parts.deletionGraceMs),
    missingHalves: missingHalves(parts.keysInUse, report),
    halves: halvesStatus(report, parts.places),
    operation: operationStatus(content, parts.operationFailure),
    migration:
      migration === null
        ? null
        : { backupPath: join(parts.dataDir, migration.backup), host: migration.host },
    isImporting: content.importing !== null,
    underWay: underWayOf(content, {
      dataDir: parts.dataDir,
      host: parts.host,
      isServed: processes.some(({ role }) => role === 'server'),
    }),
    keptKeysBecause: parts.kept.keys ?? null,
    keptFilesBecause: keptFilesBecause(content, parts.kept),
    collections: parts.collections,
    processes: processes.map(({ identity, role, isEncrypting, provenKeyIds }) => ({
      host: identity.host,
      pid: identity.pid,
      role,
      encrypt: isEncrypting,
      provenKeyIds,
    })),
    ...persistence,
    residueAdvice: residueAdvice(parts.isOwnRedis, content, persistence.redis),
  };
}

function operationStatus(
  content: SealContent,
  failure: OperationFailure | undefined,
): OperationStatus | null {
  if (!isRewriting(content)) return null;
  const { keyId, previousKeyId } = content;
  const isRotation = previousKeyId !== null && previousKeyId !== keyId;
  return { kind: isRotation ? 'rotate' : 'reindex', failed: failedStatus(failure) ?? null };
}

export function failedStatus(
  failure: OperationFailure | undefined,
): NonNullable<OperationStatus['failed']> | undefined {
  if (failure === undefined) return undefined;
  const { cause, advice, nextAtMs } = failure;
  return { cause, advice, nextAt: new Date(nextAtMs).toISOString() };
}

function keptFilesBecause(
  { state, files }: SealContent,
  { files: because }: KeptBecause,
): string | null {
  if (state !== 'encrypted' || files.length === 0) return null;
  return (
    because ?? 'Redis did not prove that it has everything on disk; the next start looks again'
  );
}

function residueAdvice(
  isOwnRedis: boolean,
  { state }: SealContent,
  servers: readonly Persistence[],
): string[] {
  if (isOwnRedis || state === 'plaintext') return [];
  return [
    'Redis is not run by this server: plaintext from before the encryption may remain in its old AOF and RDB files, its replicas, its slow log and its backups; delete them',
    ...servers.flatMap(snapshotAdvice),
  ];
}
