/**
 * Steps that go through all records, and are known to last: Redis was the same all the time, and a power cut or a
 * failover right after does not bring back what was before.
 */
import { messageOf } from '../error-message.js';
import { StateStaleError } from '../errors.js';
import { Durability } from '../redis/durability.js';
import type { DurabilityGap } from '../redis/durability.js';
import type { MigrationContext } from './migration-context.js';
import { withTrueCause } from './true-cause.js';

/** A replica whose connection is dead stays in the list of its master for a minute (`repl-timeout`). */
const PATIENCE_MS = 90_000;
const POLL_MS = 1000;

export interface Proven<T> {
  readonly result: T;
  /** Why it is not known to last; `undefined` when it is. */
  readonly gap: DurabilityGap | undefined;
}

/**
 * Runs the steps, which can be done again.
 * @param options.isPatient waits for replicas that lag; else they are asked once
 * @throws {StateStaleError} when Redis was restarted or failed over meanwhile: look again, and do them again
 */
export async function provenSteps<T>(
  context: MigrationContext,
  options: { readonly isPatient: boolean },
  steps: () => Promise<T>,
): Promise<Proven<T>> {
  const durability = await Durability.begin(context.link);
  let result: T;
  try {
    result = await withTrueCause(context, steps);
  } catch (error) {
    // Records that are not as they were written came back with another server.
    const isOther = await durability.hasChanged().catch(() => false);
    if (isOther) throw new StateStaleError(`Redis failed over meanwhile: ${messageOf(error)}`);
    throw error;
  }
  const gap = await gapAfter(context, durability, options.isPatient ? PATIENCE_MS : 0);
  if (gap?.kind === 'changed') throw new StateStaleError(gap.why);
  // A failover that is not over yet can be told from a replica that lags only by asking all masters.
  if (gap?.kind === 'pending' && (await durability.hasChanged())) {
    throw new StateStaleError('Redis failed over meanwhile');
  }
  return { result, gap };
}

async function gapAfter(
  { lock, logger }: MigrationContext,
  durability: Durability,
  patienceMs: number,
): Promise<DurabilityGap | undefined> {
  const endsMs = Date.now() + patienceMs;
  for (let attempt = 0; ; attempt++) {
    // oxlint-disable no-await-in-loop -- asked again until it is so
    const gap = await durability.gap('change');
    if (gap?.kind !== 'pending' || Date.now() >= endsMs) return gap;
    if (attempt === 0) logger.warn('Waiting until what was written is safe', { cause: gap.why });
    lock.check();
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
    // oxlint-enable no-await-in-loop
  }
}
