/** What looks like bad records may be a Redis that came back as it was before, in the middle of a migration. */
import { StateStaleError } from '../errors.js';
import type { MigrationContext } from './migration-context.js';
import { MigrationError } from '../migration-error.js';

/**
 * Runs steps that go through the records. Where they fail, looks first whether Redis still is as this process left it:
 * an operator must not mend records that are whole.
 * @throws {DegradedError} `foreignDatabase` when it was rolled back or replaced; what the steps threw, when it was not
 */
export async function withTrueCause<T>(
  { keeper }: MigrationContext,
  steps: () => Promise<T>,
): Promise<T> {
  try {
    return await steps();
  } catch (error) {
    const isSuspicious = error instanceof MigrationError || error instanceof StateStaleError;
    if (isSuspicious) await keeper.checkStands();
    throw error;
  }
}
