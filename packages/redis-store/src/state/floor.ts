/**
 * The floor under the seal: the state that the witness takes for certain. It rises only once the seal that says so is
 * safe in Redis; else a power cut or a failover right after a change would leave the witness ahead of a Redis that is as
 * sound as before, and the server degraded.
 */
import { RedisRefusedError, RedisUnavailableError } from '../errors.js';
import { Durability } from '../redis/durability.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { Witness, WitnessedState } from './witness.js';

/** How often what was not safe is looked at again. */
const RETRY_MS = 5000;
/** No cluster and no sentinel makes a replica master that lagged for so long; and nobody holds the floor down for ever. */
const PATIENCE_MS = 10 * 60_000;

export class Floor {
  readonly #link: RedisLink;
  readonly #witness: Witness;
  /** Since when the seal in force may be above the floor. */
  #aboveSinceMs: number | undefined;
  #retryAtMs = 0;

  constructor(link: RedisLink, witness: Witness) {
    this.#link = link;
    this.#witness = witness;
  }

  /**
   * Before a change of the seal.
   * @param current what counts of the seal in force, which may be above the floor still
   * @returns what {@link rise} is given
   */
  async prepare(current: WitnessedState | undefined, next: WitnessedState): Promise<Durability> {
    const durability = await Durability.begin(this.#link);
    const read = await this.#witness.read();
    const known = typeof read === 'object' ? read : undefined;
    const isBelow =
      known !== undefined &&
      current !== undefined &&
      known.databaseId === current.databaseId &&
      known.epoch < current.epoch;
    await this.#witness.prepare(isBelow ? known : (current ?? known), next);
    return durability;
  }

  /** After a change of the seal. */
  async rise(state: WitnessedState, durability: Durability): Promise<void> {
    if (await isUnsafe(durability)) this.wait();
    else await this.#commit(state);
  }

  /** Another process changed the seal: whether that is safe, nobody here knows yet. */
  wait(): void {
    this.#aboveSinceMs ??= Date.now();
    this.#retryAtMs = Date.now() + RETRY_MS;
  }

  /** At the end of a start. @param isInForce asked after it began: whether Redis holds the seal that says so */
  async begin(state: WitnessedState, isInForce: () => Promise<boolean>): Promise<void> {
    const known = await this.#witness.read();
    // A server that knows nothing believes what it finds, and from then on only that.
    if (typeof known !== 'object' || known.databaseId !== state.databaseId || known.epoch === 0) {
      return this.#commit(state);
    }
    if (known.epoch === state.epoch) {
      if (known.next !== null) await this.#commit(state);
      return;
    }
    this.wait();
    await this.#look(state, isInForce);
  }

  /** Called again and again; asks Redis only where the floor waits. @param isInForce as of {@link begin} */
  async follow(
    state: () => Promise<WitnessedState>,
    isInForce: () => Promise<boolean>,
  ): Promise<void> {
    if (this.#aboveSinceMs === undefined || Date.now() < this.#retryAtMs) return;
    await this.#look(await state(), isInForce);
  }

  async #look(state: WitnessedState, isInForce: () => Promise<boolean>): Promise<void> {
    const isOver = Date.now() - (this.#aboveSinceMs ?? 0) > PATIENCE_MS;
    const durability = await Durability.begin(this.#link);
    if (!(await isInForce())) return;
    if (!isOver && (await isUnsafe(durability))) this.wait();
    else await this.#commit(state);
  }

  async #commit(state: WitnessedState): Promise<void> {
    await this.#witness.commit(state);
    this.#aboveSinceMs = undefined;
  }
}

/** Where Redis can never prove it, waiting would help nobody: its administrator chose so. */
async function isUnsafe(durability: Durability): Promise<boolean> {
  try {
    const gap = await durability.gap('floor');
    return gap !== undefined && gap.kind !== 'never';
  } catch (error) {
    if (error instanceof RedisUnavailableError || error instanceof RedisRefusedError) return true;
    throw error;
  }
}
