/** What Redis keeps on its disk: how it does, and made to be rewritten after *encrypt*. */
import { basename, dirname, join } from 'node:path';
import { removeFiles } from '@vault/crypto/files';
import { RedisRefusedError } from '../errors.js';
import type { RedisLink, RedisNode } from './redis-link.js';

/** How Redis persists, as far as it tells. */
export interface Persistence {
  readonly address: string;
  readonly version: string;
  readonly isAppending: boolean;
  /** `always`, `everysec`, `no`; `undefined` where we may not ask. */
  readonly appendfsync: string | undefined;
  /** Whether snapshots are made by themselves; `undefined` where we may not ask. */
  readonly isSnapshotting: boolean | undefined;
  /** Where a snapshot is, on the machine of this Redis; `undefined` where we may not ask. */
  readonly snapshotPath: string | undefined;
  readonly replicas: number;
  readonly evictionPolicy: string | undefined;
}

const POLL_MS = 50;
/** A rewrite copies the whole data set; one that takes longer than this hangs. */
const REWRITE_LIMIT_MS = 30 * 60_000;
const REWRITE_ATTEMPTS = 5;

async function setting(node: RedisNode, name: string): Promise<string | undefined> {
  try {
    const reply = await node.command('CONFIG', 'GET', name);
    return Array.isArray(reply) ? String((reply as readonly unknown[])[1]) : undefined;
  } catch (error) {
    // Managed Redis and careful ACLs refuse CONFIG: not knowing is an answer here.
    if (error instanceof RedisRefusedError) return undefined;
    throw error;
  }
}

/** Asks one server how it persists. */
export async function persistenceOf(node: RedisNode): Promise<Persistence> {
  const [server, persistence, replication, appendfsync, save, evictionPolicy, dir, file] =
    await Promise.all([
      node.info('server'),
      node.info('persistence'),
      node.info('replication'),
      setting(node, 'appendfsync'),
      setting(node, 'save'),
      setting(node, 'maxmemory-policy'),
      setting(node, 'dir'),
      setting(node, 'dbfilename'),
    ]);
  return {
    address: node.address,
    version: server.get('redis_version') ?? '',
    isAppending: persistence.get('aof_enabled') === '1',
    appendfsync,
    isSnapshotting: save === undefined ? undefined : save !== '',
    snapshotPath: dir === undefined || file === undefined ? undefined : join(dir, file),
    replicas: Number(replication.get('connected_slaves') ?? 0),
    evictionPolicy,
  };
}

/** Warnings about a Redis that may lose or drop what it was given. */
export function persistenceWarnings(servers: readonly Persistence[]): string[] {
  return servers.flatMap(({ address, isAppending, isSnapshotting, evictionPolicy }) => {
    const warnings: string[] = [];
    if (!isAppending && isSnapshotting !== true) {
      warnings.push(`Redis ${address} keeps nothing on disk: set appendonly yes`);
    } else if (!isAppending) {
      warnings.push(`Redis ${address} only makes snapshots: a crash loses the latest changes`);
    }
    if (evictionPolicy !== undefined && evictionPolicy !== 'noeviction') {
      warnings.push(
        `Redis ${address} may evict records (maxmemory-policy ${evictionPolicy}): set noeviction`,
      );
    }
    return warnings;
  });
}

export type Rewrite = 'BGREWRITEAOF' | 'BGSAVE';
const REWRITE_FIELDS = {
  BGREWRITEAOF: {
    busy: ['aof_rewrite_in_progress', 'aof_rewrite_scheduled'],
    status: 'aof_last_bgrewrite_status',
  },
  BGSAVE: { busy: ['rdb_bgsave_in_progress'], status: 'rdb_last_bgsave_status' },
} as const satisfies Record<Rewrite, { busy: readonly string[]; status: string }>;

/** Waits until no rewrite of any kind is under way. */
export async function waitUntilIdle(node: RedisNode): Promise<ReadonlyMap<string, string>> {
  const fields = [...REWRITE_FIELDS.BGREWRITEAOF.busy, ...REWRITE_FIELDS.BGSAVE.busy];
  const endsMs = Date.now() + REWRITE_LIMIT_MS;
  for (;;) {
    // oxlint-disable no-await-in-loop -- Redis tells only when asked
    const info = await node.info('persistence');
    if (fields.every((field) => (info.get(field) ?? '0') === '0')) return info;
    if (Date.now() > endsMs) throw new RedisRefusedError('BUSY', 'a rewrite of its files hangs');
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
    // oxlint-enable no-await-in-loop
  }
}

/** Which run of the server this is: another one after each start. */
async function runOf(node: RedisNode): Promise<string> {
  return (await node.info('server')).get('run_id') ?? '';
}

/**
 * Rewrites a file of Redis from what is in memory after this call began, and waits for the end.
 * @throws {RedisRefusedError} when we may not, or Redis says that it failed
 */
export async function rewrite(node: RedisNode, command: Rewrite): Promise<void> {
  for (let attempt = 0; attempt < REWRITE_ATTEMPTS; attempt++) {
    // oxlint-disable no-await-in-loop -- once more only where Redis was restarted meanwhile
    const run = await runOf(node);
    // One that is under way began before our last write.
    await waitUntilIdle(node);
    await node.command(command);
    const info = await waitUntilIdle(node);
    // One that was killed in the middle did not end its rewrite, and says after its start that all is well.
    if ((await runOf(node)) !== run) continue;
    // oxlint-enable no-await-in-loop
    if (info.get(REWRITE_FIELDS[command].status) === 'ok') return;
    throw new RedisRefusedError('MISCONF', `${command} failed; look at its log and its disk`);
  }
  throw new RedisRefusedError(
    'BUSY',
    'it is restarted again and again while it rewrites its files',
  );
}

/**
 * A snapshot of a time when some were made, which nothing rewrites. Only of our own Redis, whose files are
 * here, and only beside an append-only file, which holds everything and is what Redis starts from.
 */
async function removeOldSnapshot(persistence: Persistence): Promise<void> {
  const { isAppending, isSnapshotting, snapshotPath } = persistence;
  if (!isAppending || isSnapshotting !== false || snapshotPath === undefined) return;
  await removeFiles(dirname(snapshotPath), [basename(snapshotPath)]);
}

/** Names the snapshot that a Redis of somebody else may still have from before. */
export function snapshotAdvice(persistence: Persistence): string[] {
  const { address, isSnapshotting, snapshotPath } = persistence;
  if (isSnapshotting === true || snapshotPath === undefined) return [];
  return [
    `Redis ${address} makes no snapshots: where ${snapshotPath} is there, on its machine, it is old and may hold plaintext; delete it`,
  ];
}

/** What remains for the operator to do after *encrypt*: one sentence each. */
export async function scrubRedisFiles(link: RedisLink, isOwnRedis: boolean): Promise<string[]> {
  const advice: string[] = [];
  for (const node of await link.masters()) {
    // oxlint-disable no-await-in-loop -- one server after the other
    const persistence = await persistenceOf(node);
    try {
      if (persistence.isAppending) await rewrite(node, 'BGREWRITEAOF');
      if (persistence.isSnapshotting !== false && !isOwnRedis) await rewrite(node, 'BGSAVE');
      if (isOwnRedis) {
        await node.command('SLOWLOG', 'RESET');
        await removeOldSnapshot(persistence);
      }
    } catch (error) {
      if (isOwnRedis || !(error instanceof RedisRefusedError)) throw error;
      advice.push(`Redis ${node.address} did not rewrite its files: run BGREWRITEAOF and BGSAVE`);
    }
    if (!isOwnRedis) advice.push(...snapshotAdvice(persistence));
    // oxlint-enable no-await-in-loop
  }
  if (!isOwnRedis) {
    advice.push(
      'Plaintext may remain in old backups and copied files of Redis, on its replicas’ disks and in its slow log: delete them',
    );
  }
  return advice;
}
