/** Work of one key runs one after the other, in the order of asking; that of several at once. */
export class OneAtATime {
  readonly #last = new Map<string, Promise<void>>();

  /** Keys that have work now. */
  get size(): number {
    return this.#last.size;
  }

  run<T>(key: string, work: () => Promise<T> | T): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const result = before.then(work);
    const forget = (): void => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    };
    const settled: Promise<void> = result.then(forget, forget);
    this.#last.set(key, settled);
    return result;
  }
}
