/** What still needs a key: asked before its lines are removed, which nothing can undo. */
import type { KeyId } from '@vault/crypto';
import { ENVELOPE_VERSION, envelopeKeyId } from '@vault/crypto';
import { Durability } from '../redis/durability.js';
import type { RedisLink } from '../redis/redis-link.js';

/** Bytes of an envelope that name its version and key. */
const HEAD_LAST_BYTE = 8;

/**
 * Proves that nothing needs the keys any more, and that this state of Redis is on the disks of all its servers: else one
 * may come back as of a time when records were under the keys.
 * @returns one sentence that says why the keys must stay, or `undefined`
 */
export async function removalObjection(
  context: { readonly link: RedisLink },
  keyIds: readonly KeyId[],
): Promise<string | undefined> {
  const durability = await Durability.begin(context.link);
  return (await envelopeObjection(context, keyIds)) ?? (await durability.gap('final'))?.why;
}

/**
 * Looks at every record by a scan of all keys, listed or not.
 * @returns one sentence that names a record still under one of the keys, or `undefined`
 */
async function envelopeObjection(
  { link }: { readonly link: RedisLink },
  keyIds: readonly KeyId[],
): Promise<string | undefined> {
  for (const master of await link.mastersOfAllSlots()) {
    // oxlint-disable-next-line no-await-in-loop -- one page after the other
    for await (const keys of master.scan(link.names.pattern)) {
      const records = keys.filter((name) => link.names.parse(name)?.kind === 'record');
      const found = await Promise.all(
        records.map(async (name) => {
          const head = await link.command('GETRANGE', name, 0, HEAD_LAST_BYTE);
          if (!Buffer.isBuffer(head) || head[0] !== ENVELOPE_VERSION) return undefined;
          const keyId = envelopeKeyId(head);
          return keyId !== undefined && keyIds.includes(keyId) ? keyId : undefined;
        }),
      );
      const at = found.findIndex((keyId) => keyId !== undefined);
      if (at >= 0) return `the record at ${records[at]} is under the key ${found[at]}`;
    }
  }
  return undefined;
}
