/** docs/keys.md is true: its commands do what it says, and its configurations are taken. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHalfSource, SplitKeystore } from '@vault/keystore';
import { parse } from 'smol-toml';
import { Resources } from '../harness/resources.js';
import { readRunbook, RunbookMachine } from '../harness/runbook.js';

const DOCUMENT = 'docs/keys.md';
const ROOT = join(import.meta.dirname, '../..');
/** A chapter restarts the server a few times, and runs about ten programs. */
const CHAPTER_LIMIT_MS = 120_000;

const resources = new Resources();
afterEach(() => resources.stop());

describe('a chapter', () => {
  test.each(readRunbook(DOCUMENT).map((chapter) => [chapter.title, chapter.steps] as const))(
    '"%s" goes as it says',
    async (_, steps) => {
      const machine = resources.use(await RunbookMachine.start());
      const run = async (): Promise<void> => {
        // oxlint-disable-next-line no-await-in-loop -- one step after the other
        for (const step of steps) await machine.run(step);
      };
      await expect(run()).resolves.toBeUndefined();
    },
    CHAPTER_LIMIT_MS,
  );
});

describe('a configuration', () => {
  const blocks = readFileSync(join(ROOT, DOCUMENT), 'utf8').matchAll(/^```toml\n(.*?)^```$/gms);
  const pairs = [...blocks]
    .map(([, toml = '']) => parse(toml)['keystore'] as { halfA?: unknown; halfB?: unknown })
    .filter(({ halfA }) => halfA !== undefined);

  test('is there for each kind of machine', () => expect(pairs).toHaveLength(5));

  test.each(pairs)('with half A in %j is taken', ({ halfA, halfB }) => {
    const environment = {
      variables: {},
      dataDir: '/var/lib/vault-server/data',
      userId: 0,
      groupId: 0,
    };
    const make = () =>
      new SplitKeystore({
        halfA: createHalfSource(halfA, environment),
        halfB: createHalfSource(halfB, environment),
      });
    expect(make).not.toThrow();
  });
});
