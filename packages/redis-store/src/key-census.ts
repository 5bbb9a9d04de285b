/** Counts the keys of ours in Redis, and the ids that index entries hold: what the audit compares its own sums with. */
import { StoreError } from './errors.js';
import type { RedisLink } from './redis-link.js';

export interface KeyCensus {
  readonly records: number;
  /** Ids in all index entries together. */
  readonly entries: number;
}

/** Keys asked about in one script call, and about as many in a page of SCAN. */
export const KEYS_PER_CALL = 1000;

/** Counts records only, or index entries too. A key may be counted twice while Redis grows a table; none is missed. */
export async function countKeys(
  link: RedisLink,
  what: 'records' | 'all',
  check?: () => void,
): Promise<KeyCensus> {
  const { names } = link;
  const pattern = what === 'all' ? names.pattern : names.recordPattern;
  let records = 0;
  let entries = 0;
  let counting: Promise<number> = Promise.resolve(0);
  for (const master of await link.masters()) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const keys of master.scan(pattern, KEYS_PER_CALL)) {
      const sets = new Map<string, string[]>();
      for (const key of keys) {
        const kind = kindOf(names.prefix, key);
        if (kind === 'r') records++;
        // A unique entry is one string that holds one id.
        else if (kind === 'u') entries++;
        else if (kind === 'i') addTo(sets, key.slice(0, key.indexOf('}:')), key);
      }
      // The sets of one page are counted while the next page is read.
      entries += await counting;
      counting = countMembers(link, sets);
      counting.catch(() => undefined);
      check?.();
    }
  }
  return { records, entries: entries + (await counting) };
}

/** First letter after the hash tag of a record or an entry; cheaper than parsing the name, and as strict as counting needs. */
function kindOf(prefix: string, key: string): string | undefined {
  if (!key.startsWith(`${prefix}:{`)) return undefined;
  const close = key.indexOf('}:', prefix.length + 2);
  if (close < 0 || key[close + 3] !== ':' || key.startsWith('meta}', prefix.length + 2)) {
    return undefined;
  }
  return key[close + 2];
}

function addTo(groups: Map<string, string[]>, name: string, key: string): void {
  const group = groups.get(name);
  if (group === undefined) groups.set(name, [key]);
  else group.push(key);
}

/** One call a partition: keys of one call live in one slot. */
async function countMembers(
  link: RedisLink,
  sets: ReadonlyMap<string, readonly string[]>,
): Promise<number> {
  const sums = await Promise.all(
    Array.from(sets.values(), async (keys) => {
      const reply = await link.script('vaultCountEntries', keys, []);
      if (typeof reply === 'number') return reply;
      throw new StoreError('REDIS_REFUSED', 'an index key holds another type');
    }),
  );
  return sums.reduce((sum, count) => sum + count, 0);
}
