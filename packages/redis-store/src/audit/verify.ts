/** *verify*: everything in the database looked at, nothing changed; and *repair-indexes*, which mends what verify finds in indexes and id lists. */
import { audit } from './audit.js';
import type { Problem, ProblemKind } from './audit.js';
import { RecordUnreadableError } from '../errors.js';
import { entriesWithout } from '../records/filed-entry.js';
import { decodeRecord } from '../records/json-record.js';
import { explainUnreadable } from './unreadable-reasons.js';
import { openingRules } from '../state/opening-rules.js';
import type { Partition, WriteOp } from '../partitions/partition.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';

/** What verify found. */
export interface VerifyReport {
  readonly isSound: boolean;
  readonly records: number;
  readonly entries: number;
  /** How many of each kind. */
  readonly counts: Readonly<Partial<Record<ProblemKind, number>>>;
  /** The first 1000. */
  readonly problems: readonly Omit<Problem, 'partition' | 'entry'>[];
  /** Partitions that stand under a foreign fence. */
  readonly strayFences: readonly string[];
}

/** What repair did. */
export interface RepairReport {
  readonly repaired: Readonly<Partial<Record<ProblemKind, number>>>;
  /** What it cannot mend: records that cannot be read, values that two records claim. */
  readonly left: readonly Omit<Problem, 'partition' | 'entry'>[];
}

const PROBLEMS_REPORTED = 1000;

export interface VerifyParts {
  readonly link: RedisLink;
  readonly keeper: SealKeeper;
  progress(phase: string, done: number, total: number): void;
}

/** Looks at every record, every index entry both ways, fences and counts. */
export async function verifyDatabase(parts: VerifyParts): Promise<VerifyReport> {
  const counts: Partial<Record<ProblemKind, number>> = {};
  const found: Problem[] = [];
  const sums = await auditAll(parts, (problem) => {
    counts[problem.kind] = (counts[problem.kind] ?? 0) + 1;
    if (found.length < PROBLEMS_REPORTED) found.push(problem);
  });
  const problems = (await explainUnreadable(parts.keeper, found)).map(shown);
  const strayFences = await parts.keeper.strayFences();
  const isSound = problems.length === 0 && strayFences.length === 0;
  return { isSound, ...sums, counts, problems, strayFences };
}

async function auditAll(
  { link, keeper, ...parts }: VerifyParts,
  onProblem: (problem: Problem) => void,
): Promise<{ records: number; entries: number }> {
  const view = keeper.current();
  return audit({
    link,
    collections: keeper.filed(),
    rules: openingRules(view),
    key: view.written.key,
    progress: (done, total) => parts.progress('verify', done, total),
    onProblem,
  });
}

function shown({
  kind,
  collection,
  id,
  reason,
  index,
}: Problem): Omit<Problem, 'partition' | 'entry'> {
  return {
    kind,
    collection,
    id,
    ...(reason === undefined ? {} : { reason }),
    ...(index === undefined ? {} : { index }),
  };
}

/** Mends indexes and id lists; a record that cannot be read stays as it is. */
export async function repairIndexes(parts: VerifyParts): Promise<RepairReport> {
  const found: Problem[] = [];
  await auditAll(parts, (problem) => found.push(problem));
  const collections = new Map(parts.keeper.filed().map((filed) => [filed.name, filed]));
  const repaired: Partial<Record<ProblemKind, number>> = {};
  const left: Omit<Problem, 'partition' | 'entry'>[] = [];
  // Foreign entries first: one of a unique index stands where the right one belongs.
  found.sort((a, b) => Number(b.kind === 'entry-foreign') - Number(a.kind === 'entry-foreign'));
  for (const problem of found) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other: they may be of one record
    const isMended = await mend(parts.keeper, collections.get(problem.collection), problem);
    if (isMended) repaired[problem.kind] = (repaired[problem.kind] ?? 0) + 1;
    else left.push(shown(problem));
  }
  return { repaired, left };
}

async function mend(
  keeper: SealKeeper,
  filed: FiledCollection | undefined,
  { kind, id, partition, entry }: Problem,
): Promise<boolean> {
  if (filed === undefined || partition === undefined || kind === 'unreadable') return false;
  const stored = await partition.read(id);
  if (kind === 'entry-foreign' || stored === undefined) {
    const remove = entry === undefined ? [] : [entry];
    const bytes = stored ?? null;
    return apply(keeper, partition, { id, expected: bytes, value: bytes, add: [], remove });
  }
  const op = refiled(keeper, filed, id, stored);
  return op !== undefined && apply(keeper, partition, op);
}

/** Lists the record, and files it under what its values say. */
function refiled(
  keeper: SealKeeper,
  { codec }: FiledCollection,
  id: string,
  stored: Buffer,
): WriteOp | undefined {
  const view = keeper.current();
  try {
    const json = codec.open(openingRules(view), id, stored);
    const record = decodeRecord(json);
    if (record === undefined) return undefined;
    const { key } = view.written;
    const add = codec.entries(record, key);
    const old = codec.filedIn(stored);
    const isFiled = entriesWithout(old, add).length === 0 && old.length === add.length;
    const value = isFiled ? stored : codec.encode(key, id, json, add);
    return { id, expected: stored, value, add, remove: entriesWithout(old, add) };
  } catch (error) {
    if (error instanceof RecordUnreadableError) return undefined;
    throw error;
  }
}

async function apply(keeper: SealKeeper, partition: Partition, op: WriteOp): Promise<boolean> {
  // What it files a record under follows from the record alone: done twice it is as done once.
  const [result] = await partition.apply(keeper.fenceOf(partition), [{ ...op, mayRepeat: true }]);
  return result?.status === 'done';
}
