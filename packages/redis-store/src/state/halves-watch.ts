/**
 * Looks again and again whether the halves of the keys in use still stand. Nobody but the server itself
 * knows which keys those are, and it still has them in memory when a copy of this machine, or a hand,
 * took their lines away.
 */
// oxlint-disable no-await-in-loop -- a key or two
import type { CustodyReport, HalfReport, KeyCustody, KeyId, VaultKey } from '@vault/crypto';
import { OperationRefusedError } from '../errors.js';
import { messageOf } from '../error-message.js';
import type { SealKeeper } from './seal-keeper.js';
import type { StoreLogger } from '../store-logger.js';

/** What is to be done where a half is gone. */
export const PUT_BACK_ADVICE =
  'run `vault-server keys put-back` on the machine of this server before it stops: it still has the key in memory; then look who else writes there';

/** A key in use that its places do not give any more. */
export interface MissingHalf {
  readonly keyId: KeyId;
  /** Where a half of it is not found, as an operator would name it. */
  readonly places: readonly string[];
}

/** Keys in use whose halves are gone; a half that cannot be asked is not. */
export function missingHalves(
  keyIds: readonly KeyId[],
  { halves, ring }: Pick<CustodyReport, 'halves' | 'ring'>,
): readonly MissingHalf[] {
  if (halves.some(({ status }) => status === 'unreadable')) return [];
  return keyIds
    .filter((id) => ring.byId(id) === undefined)
    .map((keyId) => ({ keyId, places: placesWithout(keyId, halves) }));
}

function placesWithout(keyId: KeyId, halves: readonly HalfReport[]): readonly string[] {
  const without = halves.filter(({ keyIds }) => !keyIds.includes(keyId));
  return (without.length === 0 ? halves : without).map(
    ({ half, source, place }) => `half ${half} (${source} ${place})`,
  );
}

/**
 * Runs work that changes halves while no other operation on the whole database does, with the state as it is then.
 * @returns `false` where one runs, and nothing was done
 */
export type UnderLock = (work: () => Promise<void>) => Promise<boolean>;

/** For whoever holds the lock already. */
const HOLDING_IT: UnderLock = async (work) => {
  await work();
  return true;
};

export class HalvesWatch {
  readonly #keeper: SealKeeper;
  readonly #custody: KeyCustody;
  readonly #load: () => Promise<CustodyReport>;
  readonly #underLock: UnderLock;
  readonly #logger: StoreLogger;
  #missing: readonly MissingHalf[] = [];
  #said = '';
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(parts: {
    readonly keeper: SealKeeper;
    readonly custody: KeyCustody;
    /** Reads the halves, and takes in those that are ours. */
    readonly load: () => Promise<CustodyReport>;
    readonly underLock: UnderLock;
    readonly logger: StoreLogger;
  }) {
    this.#keeper = parts.keeper;
    this.#custody = parts.custody;
    this.#load = parts.load;
    this.#underLock = parts.underLock;
    this.#logger = parts.logger;
  }

  /**
   * Looks at once, and then every so often.
   * @param report what was read at the start
   */
  async start(everyMs: number, report: CustodyReport): Promise<void> {
    this.#timer = setInterval(() => void this.#lookAgain(), everyMs).unref();
    await this.look(report);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #lookAgain(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.look();
    } catch (error) {
      this.#logger.warn('The halves could not be looked at', { cause: messageOf(error) });
    } finally {
      this.#isLooking = false;
    }
  }

  /** As the last look found it. */
  get missing(): readonly MissingHalf[] {
    return this.#missing;
  }

  /**
   * One look. A mark on a key in use is taken away: whoever set it shares a place with us.
   * @param report what was read just now; default: reads
   */
  async look(report?: CustodyReport): Promise<void> {
    await this.#look(report, this.#underLock);
  }

  async #look(report: CustodyReport | undefined, underLock: UnderLock): Promise<void> {
    const seen = report ?? (await this.#load());
    const inUse = this.#neededKeyIds();
    if (seen.condemned.some(({ keyId }) => inUse.includes(keyId))) {
      await this.#spareAll(seen, underLock);
    }
    const unreadable = seen.halves.filter(({ status }) => status === 'unreadable');
    this.#missing = missingHalves(inUse, seen);
    const news = JSON.stringify([this.#missing, unreadable]);
    if (news === this.#said) return;
    const wasWrong = this.#said !== '' && this.#said !== ALL_WELL;
    this.#said = news;
    for (const { half, source, place, reason } of unreadable) {
      this.#logger.warn('A half cannot be read now', { half, place: `${source} ${place}`, reason });
    }
    for (const missing of this.#missing) {
      this.#logger.error('A half of a key in use is not in its place any more', {
        ...missing,
        diagnosis: seen.diagnosis,
        advice: PUT_BACK_ADVICE,
      });
    }
    if (wasWrong && news === ALL_WELL) this.#logger.info('The halves of all keys in use are there');
  }

  /**
   * Puts the halves of the keys in use back, from memory. What is there stays. For the holder of the lock.
   * @returns the keys that were not whole before
   * @throws {OperationRefusedError} where one cannot be written, with the reason
   */
  async putBack(): Promise<readonly KeyId[]> {
    const before = missingHalves(this.#neededKeyIds(), await this.#load());
    try {
      for (const key of this.#keeper.keysInUse()) await this.#custody.putBack(key);
    } catch (error) {
      throw new OperationRefusedError(`not every half could be put back: ${messageOf(error)}`);
    }
    await this.#look(undefined, HOLDING_IT);
    const keyIds = before.map(({ keyId }) => keyId);
    if (keyIds.length > 0) this.#logger.warn('Halves were put back from memory', { keyIds });
    return keyIds;
  }

  /** Another process of this database may have condemned a key that only we still take for one in use. */
  async #spareAll(seen: CustodyReport, underLock: UnderLock): Promise<void> {
    try {
      const isDone = await underLock(async () => {
        const inUse = this.#neededKeyIds();
        for (const { keyId, sinceMs } of seen.condemned) {
          if (inUse.includes(keyId)) await this.#spare(keyId, sinceMs, seen);
        }
      });
      if (isDone) return;
      this.#logger.info(
        'A key in use is condemned: the mark is taken away once the operation on the database that runs now is over',
      );
    } catch (error) {
      this.#logger.error('A key in use is condemned, and the mark cannot be taken away now', {
        cause: messageOf(error),
        advice: 'mend the cause: it is tried again at the next look',
      });
    }
  }

  async #spare(keyId: KeyId, sinceMs: number, { halves }: CustodyReport): Promise<void> {
    const places = halves
      .filter(({ keyIds, isShared }) => isShared && keyIds.includes(keyId))
      .map(({ half, source, place }) => `half ${half} (${source} ${place})`);
    const details = { keyId, since: new Date(sinceMs).toISOString(), places };
    try {
      await this.#custody.spare(keyId);
      this.#logger.error(
        'Another instance shares our halves and condemned a key in use: the mark was taken away',
        {
          ...details,
          advice: 'give each instance halves of its own, or rotate here and stop the other one',
        },
      );
    } catch (error) {
      this.#logger.error(
        'Another instance condemned a key in use, and the mark cannot be taken away',
        {
          ...details,
          cause: messageOf(error),
          advice: 'mend the cause before the line is deleted, or stop the other instance',
        },
      );
    }
  }

  #neededKeyIds(): readonly KeyId[] {
    return this.#keeper.keysInUse().map(({ id }: VaultKey) => id);
  }
}

const ALL_WELL = JSON.stringify([[], []]);
