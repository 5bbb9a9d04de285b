/** The name among `names` that a mistyped one most likely means. */

/** More than this share of wrong letters is another word, not a slip. */
const WRONG_SHARE_MAX = 0.4;

/** @returns `undefined` when none is near */
export function nearestName(met: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const distance = editDistance(met.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best !== undefined && bestDistance <= Math.max(2, best.length * WRONG_SHARE_MAX)
    ? best
    : undefined;
}

/** ` (did you mean "x"?)`, or nothing. */
export function didYouMean(met: string, names: readonly string[]): string {
  const name = nearestName(met, names);
  return name === undefined ? '' : ` (did you mean "${name}"?)`;
}

/** Levenshtein's distance: insertions, deletions and replacements from one to the other. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
