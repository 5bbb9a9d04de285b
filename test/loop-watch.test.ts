/** The watch that the tests of the event loop rely on sees what it is for. */
import { afterEach, expect, test } from '@jest/globals';
import { runOrThrow } from './harness/program.js';
import { LoopWatch } from './harness/loop-watch.js';
import { Resources } from './harness/resources.js';
import { TemporaryFolder } from './harness/temporary-folder.js';

const resources = new Resources();
afterEach(() => resources.stop());

/** Works for so long in one turn, some turns after its start, and ends when the watch has looked. */
const working = (ms: number): string => `
  setTimeout(() => {
    const { user } = process.cpuUsage();
    while (process.cpuUsage().user - user < ${ms} * 1000);
    setTimeout(() => undefined, 100);
  }, 100);`;

test('tells of a turn that took long, once', async () => {
  const watch = new LoopWatch(resources.use(new TemporaryFolder()).path);
  const env = { PATH: process.env['PATH'], ...watch.env };
  await runOrThrow(process.execPath, ['--eval', working(300)], { env });
  expect(watch.longestMs()).toBeGreaterThan(200);
  expect(watch.longestMs()).toBe(0);
});
