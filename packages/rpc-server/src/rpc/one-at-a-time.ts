/** Work of one key runs one after the other, and who asked for it takes turns; that of several keys at once. */
import { LinesInTurn } from '../admission/lines-in-turn.js';

export class OneAtATime {
  /** What waits, by key; of a key that is here something runs. */
  readonly #waiting = new Map<string, LinesInTurn<() => void>>();

  /** Keys that have work now. */
  get size(): number {
    return this.#waiting.size;
  }

  /** @param who asks: what waits of one does not keep back what another asks for later */
  async run<T>(key: string, who: string, work: () => Promise<T> | T): Promise<T> {
    await this.#turn(key, who);
    try {
      return await work();
    } finally {
      this.#next(key);
    }
  }

  async #turn(key: string, who: string): Promise<void> {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, new LinesInTurn());
    else await new Promise<void>((resolve) => waiting.push(who, resolve));
  }

  #next(key: string): void {
    const next = this.#waiting.get(key)?.take();
    if (next === undefined) this.#waiting.delete(key);
    else next.item();
  }
}
