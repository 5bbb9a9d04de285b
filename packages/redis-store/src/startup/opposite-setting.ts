/** Never flip-flop: where another live server runs with the opposite setting, the one that starts is degraded. */
import type { KeyRing } from '../custody.js';
import { DegradedError } from '../errors.js';
import type { ProcessIdentity } from '../process-identity.js';
import { BEAT_EVERY_MS, listProcesses } from '../processes.js';
import type { RedisLink } from '../redis-link.js';

/** A living process beats again within this time. */
const LIFE_SIGN_MS = BEAT_EVERY_MS + 2000;
const POLL_MS = 200;

/**
 * Looks for such a server. A heartbeat alone may be left over from one that was killed: it is waited
 * for until it beats again or ends.
 * @throws {DegradedError} naming the process
 */
export async function checkOpposite(
  link: RedisLink,
  ring: KeyRing,
  self: ProcessIdentity,
  isEncrypting: boolean,
): Promise<void> {
  const first = await oppositeBeats(link, ring, self, isEncrypting);
  if (first.size === 0) return;
  const endsMs = Date.now() + LIFE_SIGN_MS;
  while (Date.now() < endsMs) {
    // oxlint-disable no-await-in-loop -- waits for a sign of life
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
    const now = await oppositeBeats(link, ring, self, isEncrypting);
    // oxlint-enable no-await-in-loop
    if (now.size === 0) return;
    for (const [id, { beat, name }] of now) {
      if (first.get(id)?.beat !== beat) throw new DegradedError('oppositeSetting', { cause: name });
    }
  }
}

interface Beat {
  readonly beat: number;
  /** Of its process, for a message. */
  readonly name: string;
}

async function oppositeBeats(
  link: RedisLink,
  ring: KeyRing,
  self: ProcessIdentity,
  isEncrypting: boolean,
): Promise<ReadonlyMap<string, Beat>> {
  const processes = await listProcesses(link, ring);
  const opposite = processes.filter(
    (process) =>
      process.identity.id !== self.id &&
      process.role === 'server' &&
      process.isEncrypting === !isEncrypting &&
      // While there are keys, a heartbeat that proves none of them is anybody's.
      (ring.ids.length === 0 || process.provenKeyIds.length > 0),
  );
  return new Map(
    opposite.map(({ identity: { id, pid, host }, beat }) => {
      const setting = isEncrypting ? 'off' : 'on';
      return [id, { beat, name: `process ${pid} on ${host} runs with encryption ${setting}` }];
    }),
  );
}
