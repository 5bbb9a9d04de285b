/**
 * Puts a database aside that cannot be opened, so that a new one, or that of another archive, can stand in its
 * place. Every key of ours is written to a file first (`archive-file.ts`), and only what that file provably holds
 * is removed.
 */
import { isEnvelope } from '@vault/crypto';
import { ArchiveWriter, readArchive, removeUnfinishedArchives } from '../files/archive-file.js';
import type { ArchivedKey } from '../files/archive-file.js';
import { Witness } from '../state/witness.js';
import { isKept, underLock } from './alone.js';
import type { ArchiveOptions, Work } from './alone.js';
import { headOfRecord } from './plaintext-records.js';

/** What was put aside. */
export interface ArchiveReport {
  /** `undefined` when there was no key of ours. */
  readonly path: string | undefined;
  readonly keys: number;
  /** Where the witness of before is kept; `undefined` when there was none. */
  readonly formerWitness: string | undefined;
}

const SCAN_COUNT = 256;
/** Values under way at once: at most 1 MiB each. */
const VALUES_AT_ONCE = 32;
const REMOVE_AT_ONCE = 256;

/**
 * Writes all keys of the prefix to a file in the data folder (mode 0400, synced, read back), removes
 * exactly those, and puts the witness aside. Seal and fences go first: what a crash leaves is taken
 * for a database by nobody, and another call goes on. Locks and heartbeats are left to end by themselves.
 * @throws {OperationRefusedError} while another process uses the database: that one can open it
 */
export async function archiveDatabase(options: ArchiveOptions): Promise<ArchiveReport> {
  return underLock(options, (work) => archive(work));
}

/** Within the work of another command, too. */
export async function archive(work: Work): Promise<ArchiveReport> {
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
