/** What still needs a key: asked before its lines are removed, which nothing can undo. */
import type { KeyId } from '@vault/crypto';
import { ENVELOPE_VERSION, envelopeKeyId } from '@vault/crypto';
import type { RedisLink } from '../redis-link.js';

/** Bytes of an envelope that name its version and key. */
const HEAD_LAST_BYTE = 8;

/**
 * Looks at every record by a scan of all keys, listed or not.
 * @returns one sentence that names a record still under one of the keys, or `undefined`
 */
export async function envelopeObjection(
  { link }: { readonly link: RedisLink },
  keyIds: readonly KeyId[],
): Promise<string | undefined> {
  for (const master of await link.masters()) {
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
