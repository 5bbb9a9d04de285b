/** What loading found, as a report. */
import { VaultKey } from '@vault/crypto';
import type {
  CondemnedKey,
  CustodyReport,
  HalfReport,
  HalvesState,
  KeyHalf,
  KeyId,
  KeyRing,
} from '@vault/crypto';
import { currentSecret } from './append-plan.js';
import { diagnose } from './diagnosis.js';
import type { ReadHalf, ReadHalves } from './diagnosis.js';
import { linesOf } from './half-source.js';
import type { HalfLine } from './half-source.js';
import { isForeignValue } from './half-value.js';
import type { Pair, Pairing } from './pairing.js';

/**
 * The keys of the report are those of the pairing, which it takes over.
 * @param isOurs whether a pair is of a key of ours
 */
export function reportCustody(
  halves: ReadHalves,
  pairing: Pairing,
  isOurs: (pair: Pair) => boolean,
  custodyWarnings: readonly string[],
): CustodyReport {
  const [a, b] = halves;
  const ours = pairing.pairs.filter(isOurs);
  return {
    state: stateOf(halves, ours),
    ring: ringOf(ours),
    unlabelled: ringOf(pairing.pairs.filter((pair) => !isOurs(pair))),
    supersededIds: ours
      .filter(({ lineA, lineB }) => isSuperseded(a, lineA) || isSuperseded(b, lineB))
      .map(({ key }) => key.id),
    suppliedId: suppliedId(halves),
    halves: [reportOf(a, ours), reportOf(b, ours)],
    diagnosis: diagnose(a, b, { ...pairing, pairs: ours }),
    custodyWarnings,
    condemned: condemnedIn(halves),
  };
}

function condemnedIn(halves: ReadHalves): readonly CondemnedKey[] {
  const since = new Map<CondemnedKey['keyId'], number>();
  for (const { keyId, condemnedAtMs } of halves.flatMap(({ reading }) => linesOf(reading))) {
    if (keyId === undefined || condemnedAtMs === undefined) continue;
    since.set(keyId, Math.max(condemnedAtMs, since.get(keyId) ?? 0));
  }
  return [...since].map(([keyId, sinceMs]) => ({ keyId, sinceMs }));
}

function stateOf([a, b]: ReadHalves, ours: readonly Pair[]): HalvesState {
  const statuses = [a.reading.status, b.reading.status];
  if (statuses.includes('unreadable')) return 'unreadable';
  const missing = statuses.filter((status) => status === 'missing').length;
  if (missing === 2) return 'none';
  if (missing === 1) return 'one';
  return ours.length > 0 ? 'paired' : 'unpaired';
}

function ringOf(pairs: readonly Pair[]): KeyRing {
  const keys = new Map(pairs.map(({ key }) => [key.id, key]));
  return { ids: [...keys.keys()], byId: (id) => keys.get(id) };
}

/** Whether a newer secret stands after the line, in a source that an operator changes. */
function isSuperseded({ source, reading }: ReadHalf, line: HalfLine): boolean {
  if (source.isWritable) return false;
  const lines = linesOf(reading);
  const newest = lines.findLastIndex(({ keyId }) => keyId === undefined);
  return newest > lines.indexOf(line) && lines[newest]?.half.equals(line.half) === false;
}

function suppliedId(halves: ReadHalves): KeyId | undefined {
  const [halfA, halfB] = halves.map(({ source, reading }): KeyHalf | undefined =>
    source.isWritable ? undefined : currentSecret(linesOf(reading)),
  );
  if (halfA === undefined || halfB === undefined) return undefined;
  const key = VaultKey.derive(halfA, halfB);
  key.destroy();
  return key.id;
}

function reportOf({ half, source, reading, ownBare }: ReadHalf, ours: readonly Pair[]): HalfReport {
  const lines = linesOf(reading);
  const labels = lines.flatMap(({ keyId }) => (keyId === undefined ? [] : [keyId]));
  // A half that was put back without its label is a line of its key all the same.
  const unlabelled = ours.filter(
    (pair) => (half === 'A' ? pair.lineA : pair.lineB).keyId === undefined,
  );
  const keyIds = source.isWritable ? [...labels, ...unlabelled.map(({ key }) => key.id)] : labels;
  const isForeign = source.isWritable && isForeignValue(lines, ownBare);
  return {
    half,
    source: source.source,
    place: source.place,
    status: isForeign ? 'foreign' : reading.status,
    isShared: source.isWritable && source.isShared,
    keyIds: [...new Set(keyIds)],
    isWritable: source.isWritable,
    ...('reason' in reading ? { reason: reading.reason } : {}),
  };
}
