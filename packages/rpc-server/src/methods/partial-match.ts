/**
 * Partial deep comparison, as Xen Orchestra filters objects: every property of the pattern is there
 * and matches; types count (`"42"` is not `42`); an array matches when each of its items is found in
 * the other, in any order.
 *
 * A pattern is taken apart once, however many objects it is compared with. Plain items of arrays are
 * counted, in one pass; only objects and arrays in arrays are compared each with each. How often is
 * limited: patterns and records may be long, and everybody waits meanwhile.
 */
import { ComparisonBudget } from './comparison-budget.js';

/** @throws {ApiError} INVALID_PARAMETERS when it takes more than the {@link ComparisonBudget} */
export type PartialMatch = (value: unknown) => boolean;

/** To compare one pattern with many objects. */
export function partialMatch(pattern: unknown): PartialMatch {
  const budget = new ComparisonBudget();
  const matches = prepared(pattern, budget);
  return (value) => {
    budget.nextObject();
    return matches(value);
  };
}

function prepared(pattern: unknown, budget: ComparisonBudget): PartialMatch {
  if (pattern === undefined) return () => true;
  if (Array.isArray(pattern)) return preparedArray(pattern as unknown[], budget);
  if (isComposite(pattern)) return preparedObject(pattern, budget);
  return (value) => {
    budget.spend(1);
    return Object.is(value, pattern);
  };
}

function preparedObject(pattern: object, budget: ComparisonBudget): PartialMatch {
  const members = Object.entries(pattern).map(
    ([name, wanted]) => [name, prepared(wanted, budget)] as const,
  );
  return (value) => {
    budget.spend(1);
    if (!isComposite(value) || Array.isArray(value)) return false;
    return members.every(
      ([name, matches]) =>
        Object.hasOwn(value, name) && matches((value as Record<string, unknown>)[name]),
    );
  };
}

function preparedArray(pattern: readonly unknown[], budget: ComparisonBudget): PartialMatch {
  const isPlain = (item: unknown) => !isComposite(item);
  const plain = pattern.filter(isPlain);
  const composite = pattern.filter(isComposite).map((item) => prepared(item, budget));
  return (value) => {
    budget.spend(1);
    if (!Array.isArray(value) || pattern.length > value.length) return false;
    const items = value as readonly unknown[];
    budget.spend(items.length + pattern.length);
    return (
      holdsPlain(items.filter(isPlain), plain) &&
      holdsComposite(items.filter(isComposite), composite, budget)
    );
  };
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
  wanted: readonly PartialMatch[],
  budget: ComparisonBudget,
): boolean {
  const taken = new Set<number>();
  return wanted.every((matches) => {
    const at = items.findIndex((item, index) => !taken.has(index) && matches(item));
    // Those that were taken are passed over each time.
    budget.spend(taken.size);
    taken.add(at);
    return at >= 0;
  });
}

function isComposite(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
