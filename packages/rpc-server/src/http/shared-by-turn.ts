/** Costly answers that are the same for everybody who asks at the same time. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Work that is done once for all that ask for it in one turn of the event loop: a hundred connections
 * that ask at once keep nobody waiting for a hundred times the work.
 */
export function sharedByTurn<T>(work: () => Promise<T>): () => Promise<T> {
  let coming: Promise<T> | undefined;
  return () => {
    coming ??= nextTurn().then(() => {
      coming = undefined;
      return work();
    });
    return coming;
  };
}
