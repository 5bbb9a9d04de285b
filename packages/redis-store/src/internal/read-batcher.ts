/**
 * Gathers the reads that callers make in the same turn of the event loop into one `MGET`: many
 * concurrent gets cost one command, one get costs what it did.
 */
interface Waiting {
  readonly id: string;
  readonly resolve: (value: Buffer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** More in one command would keep Redis from others for long. */
const BATCH_MAX = 256;

export class ReadBatcher {
  readonly #readMany: (ids: readonly string[]) => Promise<(Buffer | undefined)[]>;
  #waiting: Waiting[] = [];

  constructor(readMany: (ids: readonly string[]) => Promise<(Buffer | undefined)[]>) {
    this.#readMany = readMany;
  }

  read(id: string): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#flush());
      this.#waiting.push({ id, resolve, reject });
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < waiting.length; at += BATCH_MAX) {
      const batch = waiting.slice(at, at + BATCH_MAX);
      this.#readMany(batch.map(({ id }) => id)).then(
        (values) => batch.forEach(({ resolve }, i) => resolve(values[i])),
        (error: unknown) => batch.forEach(({ reject }) => reject(error)),
      );
    }
  }
}
