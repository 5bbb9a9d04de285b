/**
 * Gathers what callers ask in the same turn of the event loop into one call: many concurrent
 * requests cost one command, a single one costs what it did.
 */
interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class TurnBatcher<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #maxItems: number;
  #waiting: Waiting<Item, Result>[] = [];

  /** @param run answers items in order, of which it gets at most `maxItems` */
  constructor(run: (items: readonly Item[]) => Promise<readonly Result[]>, maxItems: number) {
    this.#run = run;
    this.#maxItems = maxItems;
  }

  submit(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#flush());
      this.#waiting.push({ item, resolve, reject });
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < waiting.length; at += this.#maxItems) {
      const batch = waiting.slice(at, at + this.#maxItems);
      this.#run(batch.map(({ item }) => item)).then(
        (results) => batch.forEach(({ resolve }, i) => resolve(results[i] as Result)),
        (error: unknown) => batch.forEach(({ reject }) => reject(error)),
      );
    }
  }
}
