/**
 * A Redis that only makes snapshots, killed at each command: it comes back as it was at the last one. That is a Redis
 * that was rolled back. Nobody can bring back what it forgot, but no key may be gone that it needs, and nothing be
 * taken for what it is not: the next start serves, or names the roll-back, and serves once the operator accepts it.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { acceptDatabase, DegradedError, OperationRefusedError } from '@vault/redis-store';
import { Resources } from '../harness/resources.js';
import type { Verdict } from '../harness/tcp-proxy.js';
import { CrashStage, PLAIN_FILES, WarmProcesses } from './crash-stage.js';
import { findLostKeys, readHalfFiles } from './examine.js';
import { OPERATIONS, STARTS } from './operations.js';
import { INITIAL } from './records.js';
import type { Contents } from './records.js';
import { REDIS_FAULTS, ArmedFault } from './redis-faults.js';
import { announceCases } from './seeded-choice.js';
import { countCases, examineNextStart, expectSurvival } from './walk.js';

const WALK_LIMIT_MS = 1_200_000;
const resources = new Resources();
let stage: CrashStage;
let children: WarmProcesses;
beforeAll(async () => {
  // A snapshot when the test or the process asks for one, and practically never by itself.
  const config = ['save 86400 1000000', ...PLAIN_FILES];
  stage = resources.use(await CrashStage.start({ redis: { config }, savesBase: true }));
  children = resources.use(new WarmProcesses());
});
afterAll(async () => {
  await resources.stop();
  announceCases('snapshots', countCases());
});

/** The next start; where it names a roll-back, the one after the operator accepted what is there. */
async function examine(encrypt: boolean, allowed: readonly Contents[]): Promise<string[]> {
  try {
    await stage.using(encrypt, () => Promise.resolve());
  } catch (error) {
    if (!(error instanceof DegradedError)) throw error;
    if (error.reason !== 'foreignDatabase') return [`degraded: ${error.reason}`];
    try {
      await acceptDatabase({ ...stage.options(encrypt), allowUnprotected: true });
    } catch (refusal) {
      if (!(refusal instanceof OperationRefusedError)) throw refusal;
      return [`not accepted: ${refusal.message}`];
    }
  }
  const findings = await examineNextStart(stage, encrypt, allowed);
  // Files of the migration that the roll-back made forgotten, and the former witness, stay for the operator.
  return findings.filter((finding) => !finding.startsWith('left behind: '));
}

/** All that changes the whole database, and the two that destroy keys above all. */
const operations = [...STARTS, ...OPERATIONS].filter(({ name }) =>
  /^(encrypt|decrypt|rotation|deletion)/.test(name),
);

describe.each(operations)('$name', (operation) => {
  test.each(REDIS_FAULTS.filter(({ name }) => name === 'Redis killed before a command'))(
    '$name and back from its snapshot: no key lost, nothing served unseen',
    async (fault) => {
      await expectSurvival({
        stage,
        children,
        operation,
        fault: `${fault.name}, snapshots`,
        mayBeRolledBack: true,
        arm: (child, n) => new ArmedFault(stage, child, fault, n),
        findLostKeys: () => findLostKeys(stage, () => readHalfFiles(stage)),
        examine: (allowed) => examine(operation.encrypt, allowed),
      });
    },
    WALK_LIMIT_MS,
  );
});

describe.each(operations.filter(({ name }) => /^(decrypt|deletion)/.test(name)))(
  '$name',
  ({ base, encrypt, steps }) => {
    test('keeps the key when Redis is killed at the snapshot that is to prove it needless', async () => {
      const child = children.take();
      await stage.reset(base, encrypt);
      let crashes = 0;
      stage.proxy.intercept = async ({ command }): Promise<Verdict> => {
        if (command !== 'BGSAVE' || crashes > 0) return 'pass';
        crashes += 1;
        await stage.crashRedis();
        return 'cut';
      };
      await child.open(stage.order(encrypt, steps));
      child.go();
      await child.end();
      stage.proxy.reset();
      const findings = await findLostKeys(stage, () => readHalfFiles(stage));
      findings.push(...(await examine(encrypt, [INITIAL])));
      expect({ crashes, findings }).toEqual({ crashes: 1, findings: [] });
    });
  },
);
