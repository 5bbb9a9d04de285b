/** One write of one record, and what is said of it where the connection to Redis broke. */
import { OutcomeUnknownError, RedisUnavailableError } from '../errors.js';
import type { WriteOp, WriteResult } from '../partitions/partition.js';
import type { PartitionFront } from '../partitions/partition-front.js';
import type { DatabaseView } from '../state/database-state.js';

/** What a write came to, when that is known. */
export type KnownResult = Exclude<WriteResult, { readonly status: 'unknown' }>;

/** @throws {OutcomeUnknownError} when it may have been done, or not */
export async function writeOne(
  front: PartitionFront,
  collection: string,
  fence: string,
  op: WriteOp,
): Promise<KnownResult> {
  let result: WriteResult;
  try {
    result = await front.write(fence, op);
  } catch (error) {
    if (!(error instanceof RedisUnavailableError) || !error.mayBeDone) throw error;
    throw new OutcomeUnknownError(collection, op.id, { cause: error });
  }
  if (result.status === 'unknown') throw new OutcomeUnknownError(collection, op.id);
  return result;
}

/** Two writers can make the same plaintext; an envelope has its own nonce. */
export function onSame({ written }: DatabaseView): 'changed' | 'done' {
  return written.key === undefined ? 'changed' : 'done';
}
