/** Results that are the same for everybody: written as JSON once, however often strangers ask for them. */

const texts = new WeakMap<object, string>();

/** Marks it; it is not changed any more. */
export function constantResult<T extends object>(result: T): T {
  if (!texts.has(result)) texts.set(result, JSON.stringify(result));
  return result;
}

/** @returns the JSON of a result that was marked, else `undefined` */
export function constantText(result: unknown): string | undefined {
  return typeof result === 'object' && result !== null ? texts.get(result) : undefined;
}
