/** The line of a start that is to be ready only when every record is as the configuration asks. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CredentialDatabase } from '@vault/redis-store';
import type { Logger } from '../log.js';

/** How soon the end of a rewriting that failed once is noticed: the database tries again by itself. */
const POLL_MS = 1000;

/** Calls `then` once nothing is under way; never where the database closes before, or degrades: the log says that. */
export async function onceSettled(
  database: Pick<CredentialDatabase, 'settled'>,
  signal: AbortSignal,
  log: Pick<Logger, 'info'>,
  then: () => void,
): Promise<void> {
  log.info('It serves, and is ready once nothing is to be rewritten any more');
  try {
    // oxlint-disable no-await-in-loop -- it is asked again until it has ended
    while ((await database.settled()) !== undefined) await delay(POLL_MS, undefined, { signal });
    // oxlint-enable no-await-in-loop
  } catch {
    return;
  }
  then();
}
