/** Counts the keys of ours in Redis, and the ids that index entries hold: what the audit compares its own sums with. */
import { RedisRefusedError } from '../errors.js';
import type { RedisLink, RedisNode } from './redis-link.js';

export interface KeyCensus {
  readonly records: number;
  /** Ids in all index entries together; 0 where only records were counted. */
  readonly entries: number;
}

/** Keys of a page of SCAN: Redis does nothing else for about a millisecond. */
export const KEYS_PER_CALL = 1000;

/**
 * Counts records only, or index entries too. A key may be counted twice while Redis grows a table; none is missed.
 * @throws {RedisRefusedError} where an index entry holds another type
 */
export async function countKeys(
  link: RedisLink,
  what: 'records' | 'all',
  check?: () => void,
): Promise<KeyCensus> {
  const pattern = what === 'all' ? link.names.pattern : link.names.recordPattern;
  const head = link.names.head;
  const counts = { records: 0, entries: 0 };
  for (const master of await link.masters()) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const page of countedPages(master, pattern, head)) {
      counts.records += page.records;
      counts.entries += page.entries;
      check?.();
    }
  }
  return counts;
}

async function* countedPages(
  master: RedisNode,
  pattern: string,
  head: string,
): AsyncGenerator<KeyCensus> {
  let cursor = '0';
  do {
    const args = [cursor, pattern, KEYS_PER_CALL, head];
    // oxlint-disable-next-line no-await-in-loop -- a cursor is followed step by step
    const reply = await master.script('vaultCountKeys', [], args);
    const [next, records, entries] = Array.isArray(reply) ? (reply as readonly unknown[]) : [];
    if (records === undefined) {
      throw new RedisRefusedError('WRONGTYPE', `${String(next)}: an index entry is no set`);
    }
    cursor = String(next);
    yield { records: Number(records), entries: Number(entries) };
  } while (cursor !== '0');
}
