/** Half A in a XenStore that fails, or whose user is killed, at each of its requests. */
import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { Xenstored } from '../harness/xenstored.js';
import { CrashStage, WarmProcesses } from './crash-stage.js';
import { findLostKeys } from './examine.js';
import { OPERATIONS, STARTS } from './operations.js';
import { announceCases, choose } from './seeded-choice.js';
import type { StoreProcess } from './store-process.js';
import { countCases, expectSurvival } from './walk.js';
import { XenstoreProxy, type XenstoreVerdict } from './xenstore-proxy.js';

interface XenstoreFault {
  readonly name: string;
  readonly strike: (child: StoreProcess) => XenstoreVerdict;
  /** Every later request is struck too. */
  readonly goesOn?: true;
}

const kill = (verdict: XenstoreVerdict) => (child: StoreProcess) => {
  child.kill();
  return verdict;
};
const FAULTS: readonly XenstoreFault[] = [
  { name: 'SIGKILL before a request', strike: kill('cut') },
  { name: 'SIGKILL before a reply', strike: kill('cutReply') },
  { name: 'connection cut before a request', strike: () => 'cut' },
  { name: 'connection cut before a reply', strike: () => 'cutReply' },
  { name: 'down, from a request on', strike: () => 'cut', goesOn: true },
  { name: 'hung, from a request on', strike: () => 'swallow', goesOn: true },
  { name: 'no permission, from a request on', strike: () => ({ errno: 'EACCES' }), goesOn: true },
  { name: 'full, from a request on', strike: () => ({ errno: 'ENOSPC' }), goesOn: true },
];

const WALK_LIMIT_MS = 1_200_000;
const NODE = 'vm-data/vault-encryption-key';
/** So short that a hung XenStore can be waited for a hundred times. */
const TIME_LIMIT_MS = 300;

const resources = new Resources();
let xenstored: Xenstored;
let proxy: XenstoreProxy;
let stage: CrashStage;
let children: WarmProcesses;
beforeAll(async () => {
  xenstored = resources.use(await Xenstored.start());
  const socketPath = resources.use(new TemporaryFolder('vault-xsp')).join('socket');
  proxy = resources.use(await XenstoreProxy.start(xenstored.socketPath, socketPath));
  stage = resources.use(
    await CrashStage.start({
      halfA: { source: 'xenstore', path: NODE, socketPath, timeLimitMs: TIME_LIMIT_MS },
      keeperOfA: {
        read: async () => (await xenstored.cli('read', [NODE])).stdout.trimEnd(),
        write: async (text) => {
          await xenstored.cli('rm', [NODE]);
          if (text !== '') await xenstored.cli('write', [NODE, text]);
        },
      },
    }),
  );
  children = resources.use(new WarmProcesses());
});
afterAll(async () => {
  await resources.stop();
  announceCases('XenStore', countCases());
});

/** Those that read or write halves. */
const operations = [...STARTS, ...OPERATIONS].filter(
  ({ name }) => !/^(writes|reads|import)/.test(name),
);

describe.each(operations)('$name', (operation) => {
  test.each(choose(FAULTS, 1, `xenstore of ${operation.name}`))(
    '$name: before or after, never between',
    async (fault) => {
      await expectSurvival({
        stage,
        children,
        operation,
        fault: fault.name,
        arm: (child, n) => {
          let hit: string | undefined;
          proxy.reset();
          proxy.intercept = (request) => {
            if (request < n || (request > n && fault.goesOn !== true)) return 'pass';
            hit ??= `request ${n}`;
            return fault.strike(child);
          };
          return {
            get hit() {
              return hit;
            },
            get passages() {
              return proxy.requests;
            },
            settled: () => Promise.resolve(proxy.reset()),
          };
        },
        findLostKeys: () => findLostKeys(stage, readHalves),
      });
    },
    WALK_LIMIT_MS,
  );
});

async function readHalves(): Promise<readonly string[]> {
  const { stdout } = await xenstored.cli('read', [NODE]);
  try {
    return [stdout, readFileSync(join(stage.dataDir, 'half-b'), 'utf8')];
  } catch {
    return [stdout, '']; // there is no half B
  }
}
