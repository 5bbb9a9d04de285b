/** Work on a database that is not served: under the lock, in a Redis of ours, while no process uses it. */
import { OperationRefusedError } from '../errors.js';
import type { OpenOptions } from '../open-options.js';
import { KeyNames } from '../redis/key-names.js';
import { RedisLink } from '../redis/redis-link.js';
import { refuseForeignRedis } from '../startup/foreign-redis.js';
import { beatingAgain } from '../state/life-signs.js';
import { MigrationLock } from '../state/lock.js';
import { currentIdentity } from '../state/process-identity.js';
import { HEARTBEAT_MS, listProcesses } from '../state/processes.js';

export type ArchiveOptions = Pick<
  OpenOptions,
  'redis' | 'prefix' | 'custody' | 'dataDir' | 'onProgress' | 'onStep'
> & {
  /** Called before anything is changed, with the archive that is whole and on disk; `undefined` when there was no key. */
  readonly onArchived?: (path: string | undefined) => Promise<void>;
};

/** How long a server that is starting is waited for. */
const LOCK_WAIT_MS = 2000;

/** What each step works with. */
export interface Work {
  readonly link: RedisLink;
  readonly options: ArchiveOptions;
  /** Between any two steps: for tests, and to stop when the lock is lost. */
  readonly step: (name: string) => Promise<void>;
  readonly progress: (phase: string, done: number, total: number) => void;
}

export async function underLock<T>(
  options: ArchiveOptions,
  use: (work: Work) => Promise<T>,
): Promise<T> {
  const link = await RedisLink.connect(options.redis, new KeyNames(options.prefix));
  try {
    // Before the lock: that would be written there, too.
    await refuseForeignRedis(link, 'new');
    const lock = await MigrationLock.acquire(link, currentIdentity(), { waitMs: LOCK_WAIT_MS });
    try {
      await checkUnused(link, options);
      return await use({
        link,
        options,
        step: async (name) => {
          await options.onStep?.(name);
          // A process that slept must not remove what another one put there since.
          await lock.assertHeld();
        },
        progress: (phase, done, total) => options.onProgress?.({ phase, done, total }),
      });
    } finally {
      await lock.release();
    }
  } finally {
    await link.close();
  }
}

/**
 * Runs work on the halves of a database, served or not, while no operation on the whole of it runs.
 * @throws {StoreError} `DATABASE_LOCKED` where one does; {RedisUnavailableError} where nobody can know
 */
export async function underMigrationLock<T>(
  { redis, prefix }: Pick<OpenOptions, 'redis' | 'prefix'>,
  use: () => Promise<T>,
): Promise<T> {
  const link = await RedisLink.connect(redis, new KeyNames(prefix));
  try {
    await refuseForeignRedis(link, 'ours');
    const lock = await MigrationLock.acquire(link, currentIdentity(), { waitMs: LOCK_WAIT_MS });
    try {
      return await use();
    } finally {
      await lock.release();
    }
  } finally {
    await link.close();
  }
}

async function checkUnused(link: RedisLink, { custody }: ArchiveOptions): Promise<void> {
  const { ring } = await custody.load();
  // A heartbeat that nobody renews ends, or was never one.
  const list = () => listProcesses(link, ring);
  const other = await beatingAgain(await list(), list, HEARTBEAT_MS);
  if (other === undefined) return;
  const { pid, host } = other.identity;
  throw new OperationRefusedError(
    `process ${pid} on ${host} uses the database, so it can be opened there: stop that process, or take the key halves from its machine`,
  );
}

/** Whether a key is part of the database; locks and heartbeats are not. */
export function isKept(names: KeyNames, key: string): boolean {
  const parsed = names.parse(key);
  if (parsed === undefined || parsed.kind === 'proof') return false;
  if (parsed.kind !== 'meta') return true;
  return parsed.name !== 'lock' && !parsed.name.startsWith('process');
}
