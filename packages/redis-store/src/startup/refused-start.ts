/** What an operator is told of a start that a row of the table refuses. */
import type { CustodyReport, HalfReport } from '@vault/crypto';
import { ACCEPT_ADVICE, DegradedError } from '../errors.js';
import type { DegradedReason } from '../errors.js';
import type { Observed } from './startup-table.js';

const FOREIGN_HALF_ADVICE =
  'give the halves of this server places of their own in [keystore] (another path or node), and restart; where it is a half of this server that was put back without its key id, put `<key id>:` before it';

const UNREAD_ADVICE =
  'mend what the cause names, and restart: a half that cannot be read now is not lost, so put none back and remove none';
/** Reasons that the halves give. */
const KEY_REASONS: ReadonlySet<DegradedReason> = new Set<DegradedReason>([
  'encryptionFailed',
  'decryptionFailed',
  'keyLoadingFailed',
]);

export function refusedStart(
  reason: DegradedReason,
  seen: Pick<Observed, 'cause' | 'neededKeyIds'>,
  { ring, diagnosis, halves }: Pick<CustodyReport, 'ring' | 'diagnosis' | 'halves'>,
): DegradedError {
  const foreign = halves.filter(({ status }) => status === 'foreign');
  const unread = halves.filter(({ status }) => status === 'unreadable');
  const isUnread = unread.length > 0 && KEY_REASONS.has(reason);
  const isForeign = reason === 'encryptionFailed' && foreign.length > 0 && !isUnread;
  // Nothing is known of a half that cannot be asked for: that comes before whatever follows from it.
  const known = isUnread ? unreadCause(unread) : seen.cause;
  const cause = known ?? (isForeign ? foreignCause(foreign) : undefined);
  // Of two keys the one that is not there.
  const neededKeyId =
    seen.neededKeyIds.find((id) => ring.byId(id) === undefined) ?? seen.neededKeyIds[0];
  return new DegradedError(reason, {
    ...(cause === undefined ? {} : { cause }),
    ...(neededKeyId === undefined ? {} : { neededKeyId }),
    foundKeyIds: ring.ids,
    diagnosis,
    ...(reason === 'foreignDatabase' ? { advice: ACCEPT_ADVICE } : {}),
    ...(isUnread ? { advice: UNREAD_ADVICE } : {}),
    ...(isForeign ? { advice: FOREIGN_HALF_ADVICE } : {}),
  });
}

function unreadCause(unread: readonly HalfReport[]): string {
  return unread
    .map(({ half, source, place, reason }) => {
      const why = reason === undefined ? '' : `: ${reason}`;
      return `half ${half} (${source} ${place}) cannot be read${why}`;
    })
    .join('; ');
}

function foreignCause(foreign: readonly HalfReport[]): string {
  const places = foreign.map(({ half, source, place }) => `half ${half} (${source} ${place})`);
  return `another system's key stands in ${places.join(' and in ')}: it is not used, and nothing is written there`;
}
