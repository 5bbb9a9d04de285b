/** How many records in Redis are plaintext, which anybody who can write there can have written. */
import { isEnvelope } from '@vault/crypto';
import type { RedisLink } from '../redis/redis-link.js';

export interface RecordCount {
  readonly records: number;
  readonly plaintext: number;
}

/** A record may be counted twice while Redis grows a table; none is missed. */
export async function countPlaintextRecords(link: RedisLink): Promise<RecordCount> {
  const count = { records: 0, plaintext: 0 };
  for (const master of await link.mastersOfAllSlots()) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const page of master.scan(link.names.recordPattern)) {
      const heads = await Promise.all(page.map((key) => headOfRecord(link, key)));
      const found = heads.filter((head) => head !== undefined);
      count.records += found.length;
      count.plaintext += found.filter((head) => !isEnvelope(head)).length;
    }
  }
  return count;
}

/** The first byte of a record; `undefined` of what is none. */
export async function headOfRecord(link: RedisLink, key: string): Promise<Buffer | undefined> {
  if (link.names.parse(key)?.kind !== 'record') return undefined;
  const head = await link.command('GETRANGE', key, 0, 0);
  return Buffer.isBuffer(head) ? head : undefined;
}
