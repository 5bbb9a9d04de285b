/**
 * Holds back what is written to a stream until the turn of the event loop is over: calls that one
 * reply of Redis answers leave in few writes to the kernel, not in one each.
 */
import type { Writable } from 'node:stream';

/** Enough to share the cost of a write; the client reads its first answers while the others are made. */
export const HELD_MAX_BYTES = 4096;

export class TurnCork {
  readonly #stream: Writable;
  #isHeld = false;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** Call before each write. Held bytes count in `writableLength`, so limits on unsent bytes see them. */
  hold(): void {
    if (this.#isHeld) {
      if (this.#stream.writableLength >= HELD_MAX_BYTES) this.#letGo();
      return;
    }
    this.#isHeld = true;
    this.#stream.cork();
    // Runs once all promises that are settled now have been followed up, and before any I/O.
    process.nextTick(() => this.#release());
  }

  #letGo(): void {
    this.#stream.uncork();
    this.#stream.cork();
  }

  #release(): void {
    this.#isHeld = false;
    this.#stream.uncork();
  }
}
