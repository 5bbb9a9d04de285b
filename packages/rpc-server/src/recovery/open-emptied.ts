/** Opens the new database in a place that was just emptied; what somebody planted there meanwhile is not taken over. */
import { CredentialDatabase, DegradedError, OperationRefusedError } from '@vault/redis-store';
import type { OpenOptions } from '@vault/redis-store';

/** @throws {OperationRefusedError} naming what stands there; {DegradedError} when it cannot be opened for another reason */
export async function openEmptied(options: OpenOptions): Promise<CredentialDatabase> {
  try {
    return await CredentialDatabase.open({ ...options, mustBeEmpty: true });
  } catch (error) {
    if (!(error instanceof DegradedError) || error.reason !== 'foreignDatabase') throw error;
    const { cause, advice } = error.details;
    // Not that of a start: whoever recovers is to be told what was found.
    throw new OperationRefusedError(
      [cause, advice].filter((part) => part !== undefined).join(': '),
    );
  }
}
