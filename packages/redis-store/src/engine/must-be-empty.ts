/**
 * A new database begins in a place that was emptied a moment ago. Who can write to Redis may have put something
 * there since, and a first *encrypt* would make a record as authentic as any other: an administrator of
 * somebody's choice. So the place is looked at before it is opened, by the manifest of the migration (what is not
 * in it is not encrypted), and once more before it is served.
 */
import { DegradedError } from '../errors.js';
import { isFleeting } from '../redis/key-names.js';
import { listNames } from '../migration-error.js';
import type { RedisLink } from '../redis/redis-link.js';
import { scanAll } from '../redis/scanned-keys.js';
import type { OurKey } from '../redis/scanned-keys.js';

/** Enough to know what was put there. */
const NAMED_MAX = 10;

/** @throws {DegradedError} where a key of a database stands: nothing was written */
export async function refuseStandingKeys(link: RedisLink): Promise<void> {
  await refuseStanding(link, (key) => !isFleeting(key));
}

/** @throws {DegradedError} where a record stands */
export async function refuseStandingRecords(link: RedisLink): Promise<void> {
  await refuseStanding(link, ({ kind }) => kind === 'record');
}

async function refuseStanding(link: RedisLink, counts: (key: OurKey) => boolean): Promise<void> {
  const names = new Set<string>();
  for await (const keys of scanAll(link)) {
    for (const found of keys) {
      if (names.size < NAMED_MAX && counts(found)) names.add(found.key);
    }
  }
  if (names.size > 0) throw notEmptyError([...names]);
}

/** @param names what was found, as an operator would name it */
export function notEmptyError(names: readonly string[]): DegradedError {
  return new DegradedError('foreignDatabase', {
    cause: `in the place that was emptied for a new database stands what nobody but an intruder put there: ${listNames(names)}; nothing of it was taken over`,
    advice:
      'look who else can write to this Redis, and shut them out; then do it again: what stands there is put into a file first',
  });
}
