/** What loading found, as a report. */
import type { CustodyReport, HalfReport, HalvesState, KeyRing } from './custody.js';
import { diagnose } from './diagnosis.js';
import type { ReadHalf, ReadHalves } from './diagnosis.js';
import { linesOf } from './half-source.js';
import type { Pairing } from './pairing.js';

/** The keys of the report are those of the pairing, which it takes over. */
export function reportCustody(
  halves: ReadHalves,
  pairing: Pairing,
  custodyWarnings: readonly string[],
): CustodyReport {
  const [a, b] = halves;
  return {
    state: stateOf(halves, pairing),
    ring: ringOf(pairing),
    halves: [reportOf(a), reportOf(b)],
    diagnosis: diagnose(a, b, pairing),
    custodyWarnings,
  };
}

function stateOf([a, b]: ReadHalves, { pairs }: Pairing): HalvesState {
  const statuses = [a.reading.status, b.reading.status];
  if (statuses.includes('unreadable')) return 'unreadable';
  const missing = statuses.filter((status) => status === 'missing').length;
  if (missing === 2) return 'none';
  if (missing === 1) return 'one';
  return pairs.length > 0 ? 'paired' : 'unpaired';
}

function ringOf({ pairs }: Pairing): KeyRing {
  const keys = new Map(pairs.map(({ key }) => [key.id, key]));
  return { ids: [...keys.keys()], byId: (id) => keys.get(id) };
}

function reportOf({ half, source, reading }: ReadHalf): HalfReport {
  const keyIds = linesOf(reading).flatMap(({ keyId }) => (keyId === undefined ? [] : [keyId]));
  return {
    half,
    source: source.source,
    place: source.place,
    status: reading.status,
    keyIds: [...new Set(keyIds)],
    ...('reason' in reading ? { reason: reading.reason } : {}),
  };
}
