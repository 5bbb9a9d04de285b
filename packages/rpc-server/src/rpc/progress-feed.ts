/**
 * How far an operation on the whole database is, for whoever waits for it. The database runs one such
 * operation at a time, and reports to one place.
 */
import type { DatabaseProgress } from './database-port.js';

export type ProgressListener = (progress: DatabaseProgress) => void;

export class ProgressFeed {
  readonly #listeners = new Set<ProgressListener>();

  /** Told by whoever opened the database. */
  report(progress: DatabaseProgress): void {
    for (const listener of this.#listeners) listener(progress);
  }

  /** Listens while `work` runs. */
  async during<T>(listener: ProgressListener, work: () => Promise<T>): Promise<T> {
    this.#listeners.add(listener);
    try {
      return await work();
    } finally {
      this.#listeners.delete(listener);
    }
  }
}
