/** Real work that a test holds back at a point of its choice: what happens meanwhile is then no matter of luck. */

export interface Held {
  /** Once the work waits. */
  readonly reached: Promise<void>;
  readonly release: () => void;
}

function latch(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

type Work = (this: { readonly name?: string }, ...args: unknown[]) => Promise<unknown>;

export interface Meant {
  /** Of which collection. */
  readonly of?: string;
  readonly isMeant?: (first: unknown) => boolean;
  /** Holds its result back, not its begin. */
  readonly afterwards?: boolean;
}

/** Lets all work be done as always, but holds the first of what is meant back. */
export function hold(prototype: object, name: string, meant: Meant = {}): Held {
  const { of, isMeant = () => true, afterwards = false } = meant;
  const target = prototype as Record<string, Work>;
  const original = target[name];
  if (original === undefined) throw new TypeError(`there is no ${name}`);
  const reached = latch();
  const released = latch();
  const restore = (): void => {
    target[name] = original;
  };
  target[name] = async function held(...args) {
    if ((of !== undefined && this.name !== of) || !isMeant(args[0])) {
      return original.apply(this, args);
    }
    restore();
    const result = afterwards ? await original.apply(this, args) : undefined;
    reached.open();
    await released.promise;
    return afterwards ? result : original.apply(this, args);
  };
  return { reached: reached.promise, release: released.open };
}

/** Resolves when the next of that work has ended, well or not. */
export function whenOver(prototype: object, name: string): Promise<void> {
  const target = prototype as Record<string, Work>;
  const original = target[name];
  if (original === undefined) throw new TypeError(`there is no ${name}`);
  return new Promise((resolve) => {
    target[name] = function watched(...args) {
      target[name] = original;
      return original.apply(this, args).finally(resolve);
    };
  });
}

/**
 * Lets all work be done as always, and tells of each call once it was made.
 * @param told of the first argument
 * @returns how to stop
 */
export function onCall(
  prototype: object,
  name: string,
  told: (first: unknown) => void,
): () => void {
  const target = prototype as Record<string, Work>;
  const original = target[name];
  if (original === undefined) throw new TypeError(`there is no ${name}`);
  target[name] = function heard(...args) {
    const result = original.apply(this, args);
    told(args[0]);
    return result;
  };
  return () => {
    target[name] = original;
  };
}
