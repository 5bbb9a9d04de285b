/**
 * Partial deep comparison, as Xen Orchestra filters objects: every property of the pattern is there
 * and matches; types count (`"42"` is not `42`); an array matches when each of its items is found in
 * the other, in any order.
 */
export function matchesPartially(value: unknown, pattern: unknown): boolean {
  if (pattern === undefined) return true;
  if (Array.isArray(pattern)) {
    if (!Array.isArray(value)) return false;
    const free = [...(value as readonly unknown[])];
    return pattern.every((wanted) => {
      const at = free.findIndex((item) => matchesPartially(item, wanted));
      if (at < 0) return false;
      free.splice(at, 1);
      return true;
    });
  }
  if (typeof pattern !== 'object' || pattern === null) return Object.is(value, pattern);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(pattern).every(
    ([name, wanted]) =>
      Object.hasOwn(value, name) &&
      matchesPartially((value as Record<string, unknown>)[name], wanted),
  );
}
