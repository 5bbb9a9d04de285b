/**
 * Never flip-flop: where another live server runs with the opposite setting, the one that starts is degraded.
 *
 * That it lives is believed of a process that proves the active key. Any other heartbeat is anybody's who
 * can write to Redis: while there is an active key it counts for nothing, and in plaintext, where nobody can
 * prove anything, it is waited for, and no longer than a heartbeat lasts.
 */
import type { KeyId, KeyRing } from '@vault/crypto';
import { DegradedError } from '../errors.js';
import type { ProcessIdentity } from '../state/process-identity.js';
import { beatingAgain, outwait } from '../state/life-signs.js';
import { listProcesses, processNames } from '../state/processes.js';
import type { LiveProcess } from '../state/processes.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { StoreLogger } from '../store-logger.js';

interface OppositeParts {
  readonly link: RedisLink;
  readonly ring: KeyRing;
  readonly self: ProcessIdentity;
}

/** The check of one start: what can prove nothing is waited for once, and named once. */
export class OppositeCheck {
  readonly #logger: StoreLogger;
  #hasWaited = false;

  constructor(logger: StoreLogger) {
    this.#logger = logger;
  }

  /**
   * Looks for such a server. A heartbeat alone may be left over from one that was killed: it is waited
   * for until it beats again or ends.
   * @param activeKeyId `null` in plaintext
   * @throws {DegradedError} naming the process
   */
  async run(parts: OppositeParts, activeKeyId: KeyId | null, isEncrypting: boolean): Promise<void> {
    const proves = ({ provenKeyIds }: LiveProcess) => provenKeyIds.some((id) => id === activeKeyId);
    const list = () => oppositeProcesses(parts, isEncrypting);
    const first = await list();
    const unproven = first.filter((each) => !proves(each));
    if (unproven.length > 0 && !this.#hasWaited) {
      this.#hasWaited = true;
      this.#warn(activeKeyId === null ? await outwait(unproven, list) : unproven);
    }
    const living = await beatingAgain(first.filter(proves), async () =>
      (await list()).filter(proves),
    );
    if (living === undefined) return;
    const { pid, host } = living.identity;
    const cause = `process ${pid} on ${host} runs with encryption ${isEncrypting ? 'off' : 'on'}`;
    throw new DegradedError('oppositeSetting', { cause });
  }

  #warn(unproven: readonly LiveProcess[]): void {
    if (unproven.length === 0) return;
    const message = 'Heartbeats with the opposite setting prove no key: they are not waited for';
    this.#logger.warn(message, { processes: processNames(unproven) });
  }
}

async function oppositeProcesses(
  { link, ring, self }: OppositeParts,
  isEncrypting: boolean,
): Promise<readonly LiveProcess[]> {
  const processes = await listProcesses(link, ring);
  return processes.filter(
    (process) =>
      process.identity.id !== self.id &&
      process.role === 'server' &&
      process.isEncrypting === !isEncrypting,
  );
}
