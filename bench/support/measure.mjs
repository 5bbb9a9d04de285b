/** Ratios that hold on a busy machine: both sides in turn, round by round; given is the median over the rounds. */

export function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.round(q * (sorted.length - 1)))];
}

export function median(values) {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

/** Runs `count` calls with `width` of them in flight. @returns µs a call */
export async function inFlight(count, width, call) {
  let next = 0;
  const worker = async () => {
    while (next < count) await call(next++);
  };
  const started = process.hrtime.bigint();
  await Promise.all(Array.from({ length: width }, worker));
  return Number(process.hrtime.bigint() - started) / 1000 / count;
}

/**
 * @param ours, baseline `async (round) => µs a unit`
 * @returns a row: medians in `unit`, `ratio` = how many times as fast as the baseline, its quartiles as `spread`
 */
export async function compare({ what, baselineName, goal, rounds, unit = 'µs', ours, baseline }) {
  await ours(0);
  await baseline(0);
  const mine = [];
  const theirs = [];
  for (let round = 1; round <= rounds; round++) {
    mine.push(await ours(round));
    theirs.push(await baseline(round));
  }
  const ratios = mine.map((value, i) => theirs[i] / value).toSorted((a, b) => a - b);
  return {
    what,
    baselineName,
    unit,
    ours: median(mine),
    baseline: median(theirs),
    ratio: median(ratios),
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    goal,
  };
}
