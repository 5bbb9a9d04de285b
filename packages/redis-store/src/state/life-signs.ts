/** Whether processes whose heartbeats stand in Redis live, and how long they are waited for. */
import { BEAT_EVERY_MS, HEARTBEAT_MS } from './processes.js';
import type { LiveProcess } from './processes.js';

/** A living process beats again within this time. */
const LIFE_SIGN_MS = BEAT_EVERY_MS + 2000;
const POLL_MS = 200;

/**
 * Waits for a sign of life: a heartbeat alone may be left over from a process that was killed.
 * @returns one that beats again; `undefined` where all have ended, or none does in time
 */
export async function beatingAgain(
  first: readonly LiveProcess[],
  list: () => Promise<readonly LiveProcess[]>,
  withinMs = LIFE_SIGN_MS,
): Promise<LiveProcess | undefined> {
  if (first.length === 0) return undefined;
  const beats = new Map(first.map(({ identity, beat }) => [identity.id, beat]));
  const endsMs = Date.now() + withinMs;
  while (Date.now() < endsMs) {
    // oxlint-disable no-await-in-loop -- waits for a sign of life
    await pause();
    const now = await list();
    // oxlint-enable no-await-in-loop
    if (now.length === 0) return undefined;
    const living = now.find(({ identity, beat }) => beats.get(identity.id) !== beat);
    if (living !== undefined) return living;
  }
  return undefined;
}

/**
 * Waits for processes of which nothing can be proven, for no longer than a heartbeat lasts.
 * @returns those that beat on all the same
 */
export async function outwait(
  first: readonly LiveProcess[],
  list: () => Promise<readonly LiveProcess[]>,
): Promise<readonly LiveProcess[]> {
  const endsMs = Date.now() + HEARTBEAT_MS;
  if ((await beatingAgain(first, list)) === undefined) return [];
  let now = first;
  while (now.length > 0 && Date.now() < endsMs) {
    // oxlint-disable no-await-in-loop -- waits for them to end
    await pause();
    now = await list();
    // oxlint-enable no-await-in-loop
  }
  return now;
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, POLL_MS);
  });
}
