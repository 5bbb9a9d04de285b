/** All keys of ours that stand in Redis, listed or not, told apart by their names; and the ids that an entry holds. */
import { KEYS_PER_CALL } from './key-census.js';
import type { ParsedKey } from './key-names.js';
import type { RedisLink, Reply } from './redis-link.js';

export type OurKey = ParsedKey & { readonly key: string };
export type RecordKey = Extract<ParsedKey, { kind: 'record' }> & { readonly key: string };
export type EntryKey = Extract<ParsedKey, { kind: 'exact' | 'unique' }> & { readonly key: string };

function parseOurs(link: RedisLink, key: string): OurKey[] {
  const parsed = link.names.parse(key);
  return parsed === undefined ? [] : [{ ...parsed, key }];
}

export function isEntryKey(key: OurKey): key is EntryKey {
  return key.kind === 'exact' || key.kind === 'unique';
}

/** By SCAN: one that is there all the time is given at least once, perhaps twice. */
export async function* scanAll(link: RedisLink): AsyncGenerator<OurKey[]> {
  for (const master of await link.masters()) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const keys of master.scan(link.names.pattern, KEYS_PER_CALL)) {
      yield keys.flatMap((key) => parseOurs(link, key));
    }
  }
}

/** Ids in an entry, page by page. */
export async function* memberPages(
  link: RedisLink,
  { kind, key }: EntryKey,
): AsyncGenerator<string[]> {
  if (kind === 'unique') {
    const id = await link.get(key);
    if (id !== undefined) yield [id.toString()];
    return;
  }
  let cursor = '0';
  do {
    // oxlint-disable-next-line no-await-in-loop -- a cursor is followed step by step
    const reply = await link.command('SSCAN', key, cursor, 'COUNT', KEYS_PER_CALL);
    const [next, members] = Array.isArray(reply) ? (reply as [Reply, readonly Reply[]]) : ['0', []];
    cursor = String(next);
    yield members.map(String);
  } while (cursor !== '0');
}
