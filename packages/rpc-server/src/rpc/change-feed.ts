/**
 * The notification `all`: objects that appeared, changed or went, in rounds, to whoever may read.
 * Only changes that this process makes are seen here.
 */
import type { JsonObject, Notifications } from '../protocol.js';
import { hasCollection, mayWatch } from '../session/token-scope.js';
import type { ScopeHolder } from '../session/token-scope.js';

/** Changes are gathered this long, so that an import is a few large notifications. */
const ROUND_MS = 50;
/** Objects in one notification. */
const ITEMS_MAX = 500;

type AllParams = Notifications['all'];

/** What of it the scope of a token leaves; the id of what went says nothing. @returns `undefined` for nothing */
export function visibleTo(
  holder: ScopeHolder | undefined,
  params: AllParams,
): AllParams | undefined {
  const scope = holder?.scope;
  if (holder === undefined || scope === undefined) return params;
  if (!mayWatch(holder)) return undefined;
  if (params.type === 'exit' || scope.collections === undefined) return params;
  const items = Object.entries(params.items).filter(
    ([, { type }]) => typeof type === 'string' && hasCollection(scope, type),
  );
  return items.length === 0 ? undefined : { type: 'enter', items: Object.fromEntries(items) };
}

/** The same for all to whom the same is visible. */
export function viewOf(holder: ScopeHolder | undefined): string {
  const scope = holder?.scope;
  if (holder === undefined || scope === undefined) return 'all';
  if (!mayWatch(holder)) return 'nothing';
  return scope.collections === undefined ? 'all' : JSON.stringify(scope.collections.toSorted());
}

export type ChangeListener = (params: AllParams) => void;

function* slices<T>(entries: readonly (readonly [string, T])[]): Generator<Record<string, T>> {
  for (let at = 0; at < entries.length; at += ITEMS_MAX) {
    yield Object.fromEntries(entries.slice(at, at + ITEMS_MAX));
  }
}

export class ChangeFeed {
  readonly #listeners = new Set<ChangeListener>();
  readonly #entered = new Map<string, JsonObject>();
  readonly #left = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  /** @returns how to stop listening */
  listen(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param object whole and masked */
  enter(id: string, object: JsonObject): void {
    if (this.#listeners.size === 0) return;
    this.#left.delete(id);
    this.#entered.set(id, object);
    this.#schedule();
  }

  exit(id: string): void {
    if (this.#listeners.size === 0) return;
    this.#entered.delete(id);
    this.#left.add(id);
    this.#schedule();
  }

  /** Sends what was gathered at once: `enter` before `exit`. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const entered = [...this.#entered];
    const left = [...this.#left].map((id) => [id, 0 as const] as const);
    this.#entered.clear();
    this.#left.clear();
    for (const items of slices(entered)) this.#send({ type: 'enter', items });
    for (const items of slices(left)) this.#send({ type: 'exit', items });
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.flush(), ROUND_MS);
    this.#timer.unref();
  }

  #send(params: AllParams): void {
    for (const listener of this.#listeners) listener(params);
  }
}
