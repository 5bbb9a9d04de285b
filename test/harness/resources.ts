/** What a test starts and must stop: a server, a folder, a client. */
export interface Stoppable {
  stop(): Promise<unknown>;
}

/**
 * Stops what a test started, last first, whether the test passed or not:
 * `const resources = new Resources(); afterEach(() => resources.stop());`
 */
export class Resources implements Stoppable {
  #all: Stoppable[] = [];

  use<T extends Stoppable>(resource: T): T {
    this.#all.push(resource);
    return resource;
  }

  /** Registers a clean-up step that is not an object with `stop`. */
  defer(stop: () => Promise<unknown> | void): void {
    this.#all.push({ stop: async () => stop() });
  }

  /** @throws AggregateError when some could not be stopped; the others are stopped all the same */
  async stop(): Promise<void> {
    const errors: unknown[] = [];
    for (const resource of this.#all.splice(0).toReversed()) {
      try {
        // In turn: a client closes before its server, a server before its folder goes.
        await resource.stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'some resources could not be stopped');
  }
}
