/** Every operation, with the power cut, the disk full or the permissions lost at each of its file operations. */
import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { Resources } from '../harness/resources.js';
import { CrashStage, WarmProcesses } from './crash-stage.js';
import { findLostKeys, readHalfFiles } from './examine.js';
import { FILE_FAULTS, FileFaults } from './file-faults.js';
import { OPERATIONS, STARTS } from './operations.js';
import { announceCases, choose } from './seeded-choice.js';
import { countCases, expectSurvival } from './walk.js';

const WALK_LIMIT_MS = 1_200_000;
const resources = new Resources();
let stage: CrashStage;
let faults: FileFaults;
let children: WarmProcesses;
beforeAll(async () => {
  stage = resources.use(await CrashStage.start());
  faults = resources.use(await FileFaults.start(stage.folder));
  children = resources.use(new WarmProcesses(faults.env));
});
afterAll(async () => {
  await resources.stop();
  announceCases('files', countCases());
});

/** Reading and writing records touches no file. */
const operations = [...STARTS, ...OPERATIONS].filter(({ name }) => !/^(writes|reads)/.test(name));

describe.each(operations)('$name', (operation) => {
  test.each(choose(FILE_FAULTS, 1, `files of ${operation.name}`))(
    '$name: before or after, never between',
    async (fault) => {
      await expectSurvival({
        stage,
        children,
        operation,
        fault: fault.name,
        arm: (_, n) => {
          faults.plan(n, fault);
          return {
            get hit() {
              return faults.operations()[n - 1];
            },
            get passages() {
              return faults.operations().length;
            },
            settled: () => Promise.resolve(faults.forget()),
          };
        },
        findLostKeys: () => findLostKeys(stage, () => readHalfFiles(stage)),
      });
    },
    WALK_LIMIT_MS,
  );
});
