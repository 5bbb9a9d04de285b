/**
 * Partial deep comparison, as Xen Orchestra filters objects: every property of the pattern is there
 * and matches; types count (`"42"` is not `42`); an array matches when each of its items is found in
 * the other, in any order.
 *
 * Plain items of arrays are counted, in one pass; only objects and arrays in arrays are compared each
 * with each, and how often is limited: patterns and records may be long, and everybody waits meanwhile.
 */
import { invalidParameters } from '../rpc/api-error.js';

/** Values looked at for one object: at most about 0.1 s of the processor. One object looked for among all that a record of 1 MiB can hold takes less. */
export const STEPS_MAX = 400_000;

interface Budget {
  steps: number;
}

/** @throws {ApiError} INVALID_PARAMETERS when it takes more than {@link STEPS_MAX} */
export function matchesPartially(value: unknown, pattern: unknown): boolean {
  return matches(value, pattern, { steps: STEPS_MAX });
}

function matches(value: unknown, pattern: unknown, budget: Budget): boolean {
  spend(budget, 1);
  if (pattern === undefined) return true;
  if (Array.isArray(pattern)) {
    return Array.isArray(value) && holdsItems(value as unknown[], pattern as unknown[], budget);
  }
  if (!isComposite(pattern)) return Object.is(value, pattern);
  if (!isComposite(value) || Array.isArray(value)) return false;
  return Object.entries(pattern).every(
    ([name, wanted]) =>
      Object.hasOwn(value, name) &&
      matches((value as Record<string, unknown>)[name], wanted, budget),
  );
}

function holdsItems(
  items: readonly unknown[],
  wanted: readonly unknown[],
  budget: Budget,
): boolean {
  if (wanted.length > items.length) return false;
  spend(budget, items.length + wanted.length);
  const isPlain = (item: unknown) => !isComposite(item);
  return (
    holdsPlain(items.filter(isPlain), wanted.filter(isPlain)) &&
    holdsComposite(items.filter(isComposite), wanted.filter(isComposite), budget)
  );
}

/** Each as often as it is wanted, at least. */
function holdsPlain(items: readonly unknown[], wanted: readonly unknown[]): boolean {
  const counts = new Map<unknown, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return wanted.every((item) => {
    const count = counts.get(item) ?? 0;
    counts.set(item, count - 1);
    return count > 0;
  });
}

/** Each wanted one takes the first that it matches, and that no other took. */
function holdsComposite(
  items: readonly object[],
  wanted: readonly object[],
  budget: Budget,
): boolean {
  const taken = new Set<number>();
  return wanted.every((pattern) => {
    const at = items.findIndex(
      (item, index) => !taken.has(index) && matches(item, pattern, budget),
    );
    // Those that were taken are passed over each time.
    spend(budget, taken.size);
    taken.add(at);
    return at >= 0;
  });
}

function isComposite(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function spend(budget: Budget, steps: number): void {
  budget.steps -= steps;
  if (budget.steps >= 0) return;
  throw invalidParameters(
    [],
    'the filter takes too many comparisons: look for fewer objects in arrays',
  );
}
