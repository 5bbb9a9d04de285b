/** What still needs a key: asked before its lines are removed, which nothing can undo. */
import type { KeyId } from '@vault/crypto';
import { ENVELOPE_VERSION, envelopeKeyId } from '@vault/crypto';
import { durabilityObjection, runOf } from '../redis/redis-files.js';
import type { RedisLink } from '../redis/redis-link.js';

/** Bytes of an envelope that name its version and key. */
const HEAD_LAST_BYTE = 8;

/**
 * Proves that nothing needs the keys any more, and that this state of Redis is on its disks.
 *
 * The proof holds for one run of each server only: one that was killed in the middle comes back as
 * of its last snapshot, where the records may be under the keys again, and says that its last
 * snapshot went well.
 * @returns one sentence that says why the keys must stay, or `undefined`
 */
export async function removalObjection(
  context: { readonly link: RedisLink },
  keyIds: readonly KeyId[],
): Promise<string | undefined> {
  const { link } = context;
  const runs = await runsOf(link);
  const objection = (await envelopeObjection(context, keyIds)) ?? (await durabilityObjection(link));
  if (objection !== undefined) return objection;
  return (await runsOf(link)) === runs
    ? undefined
    : 'Redis was restarted or replaced while it was asked';
}

/** Which run of which server is each master. */
async function runsOf(link: RedisLink): Promise<string> {
  const nodes = await link.masters();
  return (await Promise.all(nodes.map(runOf))).toSorted().join();
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
