/** A migration stopped between any two steps, then a new start: nothing lost, nothing doubled, nothing in between. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CredentialDatabase } from '../src/credential-database.js';
import type { OpenOptions } from '../src/open-options.js';
import { contents, DatabaseFixture, fill } from './database-fixture.js';

class Crash extends Error {}

/** Stops at the n-th step, counted from 0. */
function crashAt(n: number): Pick<OpenOptions, 'onStep'> {
  let step = 0;
  return {
    onStep: () =>
      step++ === n ? Promise.reject(new Crash('stopped by the test')) : Promise.resolve(),
  };
}

interface Road {
  readonly name: string;
  /** Settings of the starts before the one that crashes. */
  readonly before: readonly boolean[];
  readonly crashing: boolean;
  readonly after: boolean;
}

const ROADS: readonly Road[] = [
  { name: 'encrypt, resumed', before: [false], crashing: true, after: true },
  { name: 'encrypt, then a change of mind', before: [false], crashing: true, after: false },
  { name: 'decrypt, resumed', before: [false, true], crashing: false, after: false },
  { name: 'decrypt, then a change of mind', before: [false, true], crashing: false, after: true },
];
/** More than one batch, so that a crash falls between batches too. */
const RECORDS = 70;

let fixture: DatabaseFixture;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
afterAll(async () => {
  await fixture.stop();
});

async function soundness(database: CredentialDatabase): Promise<unknown> {
  const { isSound, problems, records } = await database.verify();
  return { isSound, problems, records };
}

describe.each(ROADS)('$name', ({ before, crashing, after }) => {
  it('ends with every record and every index entry right, wherever it was stopped', async () => {
    for (let n = 0; ; n++) {
      await fixture.reset();
      const expected = await fixture.using({ encrypt: false }, async (database) => {
        await fill(database, RECORDS);
        return contents(database);
      });
      for (const encrypt of before.slice(1))
        await fixture.using({ encrypt }, async () => undefined);

      const steps: string[] = [];
      const { onStep } = crashAt(n);
      const isStopped = await fixture
        .using(
          {
            encrypt: crashing,
            onStep: async (step) => {
              steps.push(step);
              await onStep?.(step);
            },
          },
          async () => false,
        )
        .catch(() => true);

      await fixture.using({ encrypt: after }, async (database) => {
        const where = `after ${steps.at(-1)}`;
        expect({ where, state: database.state }).toEqual({
          where,
          state: after ? 'encrypted' : 'plaintext',
        });
        expect({ where, ...((await soundness(database)) as object) }).toEqual({
          where,
          isSound: true,
          problems: [],
          records: RECORDS + 1,
        });
        expect(await contents(database)).toEqual(expected);
        // Keys that the database knows: the active one and none besides, but those of a decryption that had ended.
        const { activeKeyId, inactiveKeyIds, halves } = await database.status();
        const kept = after
          ? halves.keyIds.filter((id) => !inactiveKeyIds.includes(id))
          : inactiveKeyIds;
        expect({ where, kept }).toEqual({ where, kept: after ? [activeKeyId] : [] });
      });
      expect(fixture.files()).toEqual(['vault-state']);
      const dump = await fixture.dump();
      expect(dump.includes('SECRET-7')).toBe(!after);
      if (!isStopped) break;
    }
  }, 120_000);
});
