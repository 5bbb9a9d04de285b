/**
 * Puts a database aside that cannot be opened, so that a new one can stand in its place, and puts it
 * back once its keys are found. Every key of ours is written to a file first (`archive-file.ts`), and
 * only what that file provably holds is removed.
 */
import { isEnvelope } from '@vault/crypto';
import {
  ArchiveWriter,
  checkArchive,
  readArchive,
  removeUnfinishedArchives,
} from '../files/archive-file.js';
import type { ArchivedKey } from '../files/archive-file.js';
import { OperationRefusedError } from '../errors.js';
import { messageOf } from '../error-message.js';
import { refuseForeignRedis } from '../startup/foreign-redis.js';
import { KeyNames } from '../redis/key-names.js';
import { MigrationLock } from '../state/lock.js';
import type { OpenOptions } from '../open-options.js';
import { currentIdentity } from '../state/process-identity.js';
import { beatingAgain } from '../state/life-signs.js';
import { HEARTBEAT_MS, listProcesses } from '../state/processes.js';
import { RedisLink } from '../redis/redis-link.js';
import { Witness } from '../state/witness.js';

export type ArchiveOptions = Pick<
  OpenOptions,
  'redis' | 'prefix' | 'custody' | 'dataDir' | 'onProgress' | 'onStep'
> & {
  /** Called before anything is changed, with the archive that is whole and on disk; `undefined` when there was no key. */
  readonly onArchived?: (path: string | undefined) => Promise<void>;
};

/** What was put aside. */
export interface ArchiveReport {
  /** `undefined` when there was no key of ours. */
  readonly path: string | undefined;
  readonly keys: number;
  /** Where the witness of before is kept; `undefined` when there was none. */
  readonly formerWitness: string | undefined;
}

/** What was put back. */
export interface RestoreArchiveReport {
  readonly keys: number;
  /** What stood there before. */
  readonly archived: ArchiveReport;
}

const SCAN_COUNT = 256;
/** Values under way at once: at most 1 MiB each. */
const VALUES_AT_ONCE = 32;
const REMOVE_AT_ONCE = 256;
/** How long a server that is starting is waited for. */
const LOCK_WAIT_MS = 2000;

/**
 * Writes all keys of the prefix to a file in the data folder (mode 0400, synced, read back), removes
 * exactly those, and puts the witness aside. Seal and fences go first: what a crash leaves is taken
 * for a database by nobody, and another call goes on. Locks and heartbeats are left to end by themselves.
 * @throws {OperationRefusedError} while another process uses the database: that one can open it
 */
export async function archiveDatabase(options: ArchiveOptions): Promise<ArchiveReport> {
  return underLock(options, (work) => archive(work));
}

/**
 * Puts an archived database back, after what stands there now was archived in its turn.
 * @throws {OperationRefusedError} when the archive is not whole, or of another prefix: nothing was changed
 */
export async function restoreArchive(
  path: string,
  options: ArchiveOptions,
): Promise<RestoreArchiveReport> {
  const found = await checkArchive(path).catch((error: unknown) => {
    throw new OperationRefusedError(messageOf(error));
  });
  return underLock(options, async (work) => {
    const { prefix } = work.link.names;
    if (found.prefix !== prefix) {
      throw new OperationRefusedError(
        `the archive is of the prefix "${found.prefix}", the configuration says "${prefix}"`,
      );
    }
    const archived = await archive(work);
    await putBack(path, found.keys, work);
    return { keys: found.keys, archived };
  });
}

/** What each step works with. */
interface Work {
  readonly link: RedisLink;
  readonly options: ArchiveOptions;
  /** Between any two steps: for tests, and to stop when the lock is lost. */
  readonly step: (name: string) => Promise<void>;
  readonly progress: (phase: string, done: number, total: number) => void;
}

async function underLock<T>(options: ArchiveOptions, use: (work: Work) => Promise<T>): Promise<T> {
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

async function archive(work: Work): Promise<ArchiveReport> {
  const { link, options, step } = work;
  await removeUnfinishedArchives(options.dataDir);
  const writer = await ArchiveWriter.create(options.dataDir, link.names.prefix, new Date());
  const fences: string[] = [];
  let path: string | undefined;
  try {
    for await (const archived of readKeys(work, writer)) {
      writer.add(archived);
      if (link.names.parse(archived.key)?.kind === 'fence') fences.push(archived.key);
    }
    path = await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await step('archive-written');
  await options.onArchived?.(path);
  await step('archive-announced');
  if (path !== undefined) await removeKeys(path, writer.keys, fences, work);
  const witness = new Witness(options.dataDir);
  const formerWitness =
    (await witness.read()) === undefined ? undefined : await witness.putAside(Date.now());
  await witness.expectNew();
  return { path, keys: writer.keys, formerWitness };
}

/** Whether a key is part of the database; locks and heartbeats are not. */
function isKept(names: KeyNames, key: string): boolean {
  const parsed = names.parse(key);
  if (parsed?.kind !== 'meta') return parsed !== undefined;
  return parsed.name !== 'lock' && !parsed.name.startsWith('process');
}

async function* readKeys(
  { link, progress }: Work,
  writer: ArchiveWriter,
): AsyncGenerator<ArchivedKey> {
  for (const master of await link.masters()) {
    // oxlint-disable no-await-in-loop -- one page, and one group of it, after the other
    for await (const page of master.scan(link.names.pattern, SCAN_COUNT)) {
      const keys = page.filter((key) => isKept(link.names, key));
      for (let at = 0; at < keys.length; at += VALUES_AT_ONCE) {
        const group = keys.slice(at, at + VALUES_AT_ONCE);
        const [dumps, heads] = await Promise.all([
          Promise.all(group.map((key) => link.command('DUMP', key))),
          Promise.all(group.map(async (key) => headOfRecord(link, key))),
        ]);
        for (const [n, key] of group.entries()) {
          const dump = dumps[n];
          const head = heads[n];
          const isPlaintext = head !== undefined && !isEnvelope(head);
          if (Buffer.isBuffer(dump)) yield { key, dump, isPlaintext };
        }
        await writer.flush();
      }
      progress('archive', writer.keys, 0);
    }
    // oxlint-enable no-await-in-loop
  }
}

/** The first byte of a record; `undefined` of what is none. */
async function headOfRecord(link: RedisLink, key: string): Promise<Buffer | undefined> {
  if (link.names.parse(key)?.kind !== 'record') return undefined;
  const head = await link.command('GETRANGE', key, 0, 0);
  return Buffer.isBuffer(head) ? head : undefined;
}

async function removeKeys(
  path: string,
  total: number,
  fences: readonly string[],
  { link, step, progress }: Work,
): Promise<void> {
  const remove = async (keys: readonly string[]): Promise<void> => {
    await Promise.all(keys.map((key) => link.command('UNLINK', key)));
  };
  // Without its fence a partition is no database's: nobody serves what is left of it.
  await remove([link.names.seal]);
  await step('archive-seal-removed');
  await remove(fences);
  await step('archive-fences-removed');
  let done = 0;
  let batch: string[] = [];
  for await (const { key } of readArchive(path)) {
    batch.push(key);
    if (batch.length < REMOVE_AT_ONCE) continue;
    await remove(batch);
    done += batch.length;
    batch = [];
    progress('remove', done, total);
    await step('archive-batch-removed');
  }
  await remove(batch);
  progress('remove', total, total);
  await step('archive-removed');
}

/** Seal and fences come last: a crash leaves no database that looks whole. */
async function putBack(path: string, total: number, work: Work): Promise<void> {
  const { link, step, progress } = work;
  const last: ArchivedKey[] = [];
  let batch: ArchivedKey[] = [];
  let done = 0;
  const write = async (keys: readonly ArchivedKey[]): Promise<void> => {
    await Promise.all(
      keys.map(({ key, dump }) => link.command('RESTORE', key, 0, dump, 'REPLACE')),
    );
    done += keys.length;
    progress('restore', done, total);
  };
  for await (const archived of readArchive(path)) {
    const kind = link.names.parse(archived.key)?.kind;
    if (kind === undefined) continue;
    if (kind === 'fence' || kind === 'meta') {
      last.push(archived);
      continue;
    }
    batch.push(archived);
    if (batch.length < VALUES_AT_ONCE) continue;
    await write(batch);
    batch = [];
    await step('restore-batch');
  }
  await write(batch);
  await step('restore-records');
  await write(
    last.toSorted((a, b) => Number(a.key === link.names.seal) - Number(b.key === link.names.seal)),
  );
}
