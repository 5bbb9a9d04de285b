import { expect, test } from '@jest/globals';
import { sharedByTurn } from '../../src/http/shared-by-turn.js';

test('who asks at once gets one answer, who asks later another', async () => {
  let made = 0;
  const ask = sharedByTurn(() => Promise.resolve((made += 1)));
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  expect(await Promise.all([ask(), ask()])).toEqual([2, 2]);
});

test('a failure is told to all that asked, and not to who asks later', async () => {
  let made = 0;
  const ask = sharedByTurn(() => {
    made += 1;
    return made === 1 ? Promise.reject(new Error('once')) : Promise.resolve(made);
  });
  const results = await Promise.allSettled([ask(), ask()]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await ask()).toBe(2);
});
