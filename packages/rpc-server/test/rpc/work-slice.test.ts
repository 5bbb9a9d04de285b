import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { filterInSlices } from '../../src/rpc/work-slice.js';

/** Takes longer than a slice lasts. */
function workLong(): true {
  const startedMs = performance.now();
  while (performance.now() - startedMs < 6);
  return true;
}

test('work that takes long is done in slices, all such work one slice in a round of the event loop', async () => {
  let steps = 0;
  const items = [1, 2, 3, 4];
  const filterAll = () =>
    filterInSlices(items, () => {
      steps += 1;
      return workLong();
    });
  const works = [filterAll(), filterAll(), filterAll()];
  const done = Promise.all(works);
  for (let round = 0, last = steps; round < 50; round++) {
    await nextRound();
    expect(steps - last).toBeLessThanOrEqual(1);
    last = steps;
  }
  expect(await done).toEqual([items, items, items]);
  expect(steps).toBe(12);
});
