/**
 * Looks at every record and every index entry, both ways, and changes nothing: the verification of
 * migrations, of *verify*, and the ground of *repair-indexes*.
 *
 * That no foreign entry and no unlisted record exists is first shown by counting: each entry that a
 * record says it has was found in its index, and the indexes hold no more than that. Only where the
 * sums differ is each entry looked at for itself, and named.
 */
import type { VaultKey } from '@vault/crypto';
import { RecordUnreadableError } from '../errors.js';
import type { UnreadableReason } from '../errors.js';
import { entriesWithout } from '../records/filed-entry.js';
import type { FiledEntry } from '../records/filed-entry.js';
import { decodeRecord } from '../records/json-record.js';
import { PartitionFront } from '../partitions/partition-front.js';
import { countKeys } from '../redis/key-census.js';
import { manifestHash } from './manifest.js';
import type { ManifestEntry, ManifestReader } from './manifest.js';
import { countRecords, readRecords } from '../partitions/record-stream.js';
import type { RecordBatch } from '../partitions/record-stream.js';
import type { Partition } from '../partitions/partition.js';
import type { OpeningRules } from '../records/record-codec.js';
import type { RedisLink } from '../redis/redis-link.js';
import { isEntryKey, memberPages, scanAll } from '../redis/scanned-keys.js';
import type { EntryKey, OurKey, RecordKey } from '../redis/scanned-keys.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';

/** What can be wrong with a record or an entry. */
export const PROBLEM_KINDS = {
  unreadable: 'the record cannot be read',
  absent: 'the id is listed, but there is no record',
  unlisted: 'the record is not in the list of ids',
  misfiled: 'the record is filed under other values than its own',
  'entry-missing': 'an index entry of the record is missing',
  'entry-foreign': 'an index entry points at a record that has not the value',
  'not-in-manifest': 'the record was not there when the migration began',
  'differs-from-manifest': 'the record is not what it was when the migration began',
  'lost-since-manifest': 'the record was there when the migration began',
} as const;
export type ProblemKind = keyof typeof PROBLEM_KINDS;

export interface Problem {
  readonly kind: ProblemKind;
  readonly collection: string;
  readonly id: string;
  /** Only for `unreadable`. */
  readonly reason?: UnreadableReason;
  /** Name of the index, for a problem of an entry. */
  readonly index?: string;
  /** @internal for repair */
  readonly partition?: Partition;
  /** @internal for repair */
  readonly entry?: FiledEntry;
}

export interface AuditOptions {
  readonly link: RedisLink;
  readonly collections: readonly FiledCollection[];
  readonly rules: OpeningRules;
  /** Key that entries are made with; `undefined` in plaintext. */
  readonly key: VaultKey | undefined;
  /** Records must equal it. */
  readonly manifest?: ManifestReader;
  progress(done: number, total: number): void;
  /** Called often; stops the audit by throwing. */
  check?(): void;
  onProblem(problem: Problem): void;
}

export interface AuditCounts {
  readonly records: number;
  readonly entries: number;
}

/** Looks at everything. Records that change meanwhile are looked at again before they are reported. */
export async function audit(options: AuditOptions): Promise<AuditCounts> {
  const counts = await auditRecords(options);
  await auditKeys(options, counts);
  return counts;
}

async function auditRecords(options: AuditOptions): Promise<{ records: number; entries: number }> {
  const { collections, manifest } = options;
  const total = await countRecords(collections);
  const counts = { records: 0, entries: 0 };
  let done = 0;
  let checking: Promise<number> = Promise.resolve(0);
  for await (const batch of readRecords(collections)) {
    const filed: Filed[] = [];
    const suspects: { readonly problem: Problem; readonly stored: Buffer | undefined }[] = [];
    const aligned = await manifest?.align(batch.partition.name, batch.ids);
    for (const name of aligned?.missing ?? []) reportLost(options, name);
    batch.ids.forEach((id, i) => {
      const stored = batch.values[i];
      counts.records += stored === undefined ? 0 : 1;
      const entry = manifest === undefined ? 'none' : aligned?.entries[i];
      const seen = {
        ...options,
        onProblem: (problem: Problem) => suspects.push({ problem, stored }),
      };
      const { entries, isReadable } = auditRecord(seen, batch, id, stored, entry);
      filed.push(...entries.map((one) => ({ id, entry: one, isRequired: isReadable })));
    });
    for (const { problem, stored } of suspects) {
      // oxlint-disable-next-line no-await-in-loop -- only what is suspicious is looked at again
      if (await isStillSo(problem, batch.partition, stored)) options.onProblem(problem);
    }
    // The check of one batch runs beside the reading of the next.
    counts.entries += await checking;
    checking = checkEntries(options, batch, filed);
    checking.catch(() => undefined);
    done += batch.ids.length;
    options.progress(done, Math.max(total, done));
    options.check?.();
  }
  counts.entries += await checking;
  for (const name of (await manifest?.rest()) ?? []) reportLost(options, name);
  return counts;
}

/** A record that was written or removed since is not judged by what it was; its writer saw to it. */
async function isStillSo(
  { id }: Problem,
  partition: Partition,
  before: Buffer | undefined,
): Promise<boolean> {
  const now = await partition.read(id);
  if (before !== undefined) return now?.equals(before) ?? false;
  return now === undefined && (await partition.areListed([id]))[0] === true;
}

interface Filed {
  readonly id: string;
  readonly entry: FiledEntry;
  /** Entries of a record that cannot be read may be there; those of another must. */
  readonly isRequired: boolean;
}

function reportLost(options: AuditOptions, name: string): void {
  const at = name.indexOf(' ');
  options.onProblem({
    kind: 'lost-since-manifest',
    collection: name.slice(0, at),
    id: name.slice(at + 1),
  });
}

/** @returns the entries that the record says it has */
function auditRecord(
  options: AuditOptions,
  { collection, partition }: RecordBatch,
  id: string,
  stored: Buffer | undefined,
  expected: ManifestEntry | 'none' | undefined,
): { readonly entries: readonly FiledEntry[]; readonly isReadable: boolean } {
  const { name, codec } = collection;
  const where = { collection: name, id, partition };
  if (stored === undefined) {
    options.onProblem({ kind: 'absent', ...where });
    return { entries: [], isReadable: false };
  }
  let json: Buffer | undefined;
  let reason: UnreadableReason | undefined;
  try {
    json = codec.open(options.rules, id, stored);
  } catch (error) {
    if (!(error instanceof RecordUnreadableError)) throw error;
    reason = error.reason;
  }
  if (expected !== 'none') {
    const hashed = expected?.kind === 'o' ? stored : json;
    if (expected === undefined) options.onProblem({ kind: 'not-in-manifest', ...where });
    else if (hashed === undefined || manifestHash(hashed) !== expected.hash) {
      options.onProblem({ kind: 'differs-from-manifest', ...where });
    }
  }
  const record = json === undefined ? undefined : decodeRecord(json);
  if (record === undefined) {
    options.onProblem({ kind: 'unreadable', ...where, reason: reason ?? 'not-json' });
    return { entries: codec.filedIn(stored), isReadable: false };
  }
  const own = codec.entries(record, options.key);
  if (options.key !== undefined && !codec.isFiledUnder(stored, own)) {
    options.onProblem({ kind: 'misfiled', ...where });
  }
  return { entries: own, isReadable: true };
}

/** @returns how many of the entries are there */
async function checkEntries(
  options: AuditOptions,
  { collection, partition }: RecordBatch,
  filed: readonly Filed[],
): Promise<number> {
  const has = await partition.hasEntries(filed);
  let found = 0;
  const missing = filed.filter(({ isRequired }, i) => {
    if (has[i] === true) found++;
    return isRequired && has[i] !== true;
  });
  for (const { id, entry } of missing) {
    // oxlint-disable-next-line no-await-in-loop -- only what is suspicious is looked at again
    if (!(await isFiledUnder(collection, partition, id, entry))) continue;
    const { index } = entry;
    options.onProblem({
      kind: 'entry-missing',
      collection: collection.name,
      id,
      index,
      entry,
      partition,
    });
  }
  return found;
}

/** Whether the record, as it is stored now, says that it is filed under an entry. */
async function isFiledUnder(
  { codec }: FiledCollection,
  partition: Partition,
  id: string,
  entry: FiledEntry,
): Promise<boolean> {
  const stored = await partition.read(id);
  return stored !== undefined && entriesWithout([entry], codec.filedIn(stored)).length === 0;
}

/** Everything in Redis that is named as ours: unlisted records, foreign entries. */
async function auditKeys(options: AuditOptions, counts: AuditCounts): Promise<void> {
  const { link } = options;
  const partitions = partitionsByName(options.collections);
  const { records, entries } = await countKeys(link, 'all', () => options.check?.());
  if (records !== counts.records) await nameUnlisted(options, partitions);
  if (entries !== counts.entries) await nameForeign(options, partitions);
}

/**
 * Records that no id list names, in a database whose lists name `listed` records that are there.
 * Only where the sums differ is each record looked up.
 */
export async function unlistedRecords(
  link: RedisLink,
  collections: readonly FiledCollection[],
  listed: number,
): Promise<readonly Problem[]> {
  const { records } = await countKeys(link, 'records');
  const found: Problem[] = [];
  if (records === listed) return found;
  const onProblem = (problem: Problem): void => {
    found.push(problem);
  };
  await nameUnlisted({ link, onProblem }, partitionsByName(collections));
  return found;
}

interface Place {
  readonly collection: FiledCollection;
  readonly partition: Partition;
}
type Partitions = ReadonlyMap<string, Place>;

function partitionsByName(collections: readonly FiledCollection[]): Partitions {
  return new Map(
    collections.flatMap((collection) =>
      collection.partitions.map(
        (partition) => [partition.name, { collection, partition }] as const,
      ),
    ),
  );
}

async function nameUnlisted(
  options: Pick<AuditOptions, 'link' | 'onProblem' | 'check'>,
  partitions: Partitions,
): Promise<void> {
  const seen = new Set<string>();
  for await (const keys of scanAll(options.link)) {
    for (const parsed of await suspiciousRecords(keys, partitions)) {
      const place = partitions.get(parsed.partition);
      if (seen.has(parsed.key)) continue;
      // oxlint-disable-next-line no-await-in-loop -- only what is suspicious is looked at again
      if (place !== undefined && !(await isUnlisted(place.partition, parsed.id))) continue;
      seen.add(parsed.key);
      const collection = place?.collection.name ?? parsed.partition;
      const partition = place === undefined ? {} : { partition: place.partition };
      options.onProblem({ kind: 'unlisted', collection, id: parsed.id, ...partition });
    }
    options.check?.();
  }
}

/** Those of a page of keys that no list names; one command a partition, since clients may write all the time. */
async function suspiciousRecords(
  keys: readonly OurKey[],
  partitions: Partitions,
): Promise<RecordKey[]> {
  const records = keys.filter((key): key is RecordKey => key.kind === 'record');
  const names = [...new Set(records.map(({ partition }) => partition))];
  const suspects = await Promise.all(
    names.map(async (name) => {
      const found = records.filter(({ partition }) => partition === name);
      const listed = await partitions.get(name)?.partition.areListed(found.map(({ id }) => id));
      return found.filter((_, i) => listed?.[i] !== true);
    }),
  );
  return suspects.flat();
}

/** Looked at twice: what is removed meanwhile leaves the list and Redis in one step. */
async function isUnlisted(partition: Partition, id: string): Promise<boolean> {
  if ((await partition.areListed([id]))[0] === true) return false;
  if ((await partition.read(id)) === undefined) return false;
  return (await partition.areListed([id]))[0] !== true;
}

async function nameForeign(options: AuditOptions, partitions: Partitions): Promise<void> {
  const seen = new Set<string>();
  const fronts = new Map(
    [...partitions].map(([name, { partition }]) => [name, new PartitionFront(partition)]),
  );
  for await (const keys of scanAll(options.link)) {
    const entries = keys.filter(isEntryKey).filter(({ key }) => !seen.has(key));
    const foreign = await Promise.all(
      entries.map((entry) => {
        const front = fronts.get(entry.partition);
        return foreignMembers(options, partitions.get(entry.partition), front, entry);
      }),
    );
    entries.forEach((entry, i) => {
      for (const id of foreign[i] ?? []) reportForeign(options, partitions, entry, id);
      // A scan may give a key twice; only one with something to report is worth remembering.
      if (foreign[i]?.length !== 0) seen.add(entry.key);
    });
    options.check?.();
  }
}

/** Ids in an entry whose records are not filed under it, looked at again one by one. */
async function foreignMembers(
  { link }: AuditOptions,
  place: Place | undefined,
  front: PartitionFront | undefined,
  key: EntryKey,
): Promise<string[]> {
  const { kind, index, token } = key;
  const foreign: string[] = [];
  for await (const ids of memberPages(link, key)) {
    // All entries of a page of keys share the command.
    const values = await Promise.all(ids.map(async (id) => front?.read(id)));
    for (const [i, id] of ids.entries()) {
      const stored = values[i];
      const filed = stored === undefined ? [] : (place?.collection.codec.filedIn(stored) ?? []);
      const isOwn =
        entriesWithout([{ kind, index, token }], filed).length === 0 ||
        (place !== undefined &&
          // oxlint-disable-next-line no-await-in-loop -- only what is suspicious is looked at again
          (await isFiledUnder(place.collection, place.partition, id, { kind, index, token })));
      if (!isOwn) foreign.push(id);
    }
  }
  return foreign;
}

function reportForeign(
  options: AuditOptions,
  partitions: Partitions,
  { partition, kind, index, token }: EntryKey,
  id: string,
): void {
  const place = partitions.get(partition);
  options.onProblem({
    kind: 'entry-foreign',
    collection: place?.collection.name ?? partition,
    id,
    index,
    ...(place === undefined ? {} : { partition: place.partition }),
    entry: { kind, index, token },
  });
}
