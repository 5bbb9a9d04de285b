/** Operations, each hit at each of its commands and replies. */
import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { CrashStage, WarmProcesses } from './crash-stage.js';
import { findLostKeys, readHalfFiles } from './examine.js';
import type { Operation } from './operations.js';
import { ArmedFault, REDIS_FAULTS } from './redis-faults.js';
import { announceCases, choose } from './seeded-choice.js';
import { countCases, expectSurvival } from './walk.js';

/** Faults of one operation in a sample. */
const FAULTS_IN_SAMPLE = 2;
/** All cases of one fault in one operation: a hundred, of two seconds on a busy machine. */
const WALK_LIMIT_MS = 1_200_000;

/** Declares the tests. @param name of the test file, for the line that says how many cases there were */
export function testRedisFaults(name: string, operations: readonly Operation[]): void {
  const children = new WarmProcesses();
  let stage: CrashStage;
  beforeAll(async () => {
    stage = await CrashStage.start();
  });
  afterAll(async () => {
    await children.stop();
    await stage.stop();
    announceCases(name, countCases());
  });

  describe.each(operations)('$name', (operation) => {
    test.each(choose(REDIS_FAULTS, FAULTS_IN_SAMPLE, operation.name))(
      '$name: before or after, never between',
      async (fault) => {
        await expectSurvival({
          stage,
          children,
          operation,
          fault: fault.name,
          arm: (child, n) => new ArmedFault(stage, child, fault, n),
          findLostKeys: () => findLostKeys(stage, () => readHalfFiles(stage)),
        });
      },
      WALK_LIMIT_MS,
    );
  });
}
