/** Every command of the runbook and of the tour in the README, as they stand there. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { readRunbook, RunbookMachine } from '../harness/runbook.js';
import { Resources } from '../harness/resources.js';

const resources = new Resources();
afterEach(() => resources.stop());

describe.each(['docs/operations.md', 'README.md'])('%s', (path) => {
  test.each(readRunbook(path).map((chapter) => [chapter.title, chapter] as const))(
    '%s',
    async (_, { steps }) => {
      const machine = resources.use(await RunbookMachine.start());
      for (const step of steps) await expect(machine.run(step)).resolves.toBeUndefined();
    },
    // A chapter starts the server up to a dozen times.
    300_000,
  );
});
