/**
 * Loads the halves, and admits those without a key id that the state of this database names: a half that an
 * operator put back without its label. Every other one is another system's and stays out of the ring.
 */
import type { CustodyReport, KeyCustody, KeyId, KeyRing } from '@vault/crypto';
import type { RedisLink } from '../redis/redis-link.js';
import { keysOfSeal, keysOfWitness } from './known-keys.js';
import { parseSeal } from './seal.js';
import type { Witness } from './witness.js';

export interface LoadKeysOptions {
  readonly custody: KeyCustody;
  readonly link: RedisLink;
  readonly witness: Witness;
}

/** Reads both halves; Redis and the witness are asked only where there is something to admit. */
export async function loadKeys(options: LoadKeysOptions): Promise<CustodyReport> {
  const { custody } = options;
  const report = await custody.load();
  if (report.unlabelled.ids.length === 0) return report;
  const named = await namedIds(report, options);
  const admitted = report.unlabelled.ids.filter((id) => named.has(id));
  if (admitted.length === 0) return report;
  custody.admit(admitted);
  return custody.load();
}

/** With the keys that are not admitted: to prove by, never to write under. */
export function wholeRing({ ring, unlabelled }: CustodyReport): KeyRing {
  return {
    ids: [...ring.ids, ...unlabelled.ids],
    byId: (id) => ring.byId(id) ?? unlabelled.byId(id),
  };
}

/** Keys that witness or seal name: the witness is a file of ours, the seal counts only where it is authentic. */
async function namedIds(
  report: CustodyReport,
  { link, witness }: LoadKeysOptions,
): Promise<ReadonlySet<KeyId>> {
  const read = await witness.read();
  const bytes = (await link.get(link.names.seal))?.toString();
  // A seal says by its MAC that whoever wrote it had the key, so the key may be one that is not admitted yet.
  const all = wholeRing(report);
  const seal = bytes === undefined ? undefined : parseSeal(bytes);
  return new Set([
    ...keysOfWitness(typeof read === 'object' ? read : undefined),
    ...keysOfSeal(typeof seal === 'object' ? seal : undefined, link.names.prefix, all),
  ]);
}
