/** A process that is stopped in the middle of a change of the whole database, loses its lock to another one, and wakes up. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Resources } from '../harness/resources.js';
import { CrashStage, WarmProcesses } from './crash-stage.js';
import { examineNextStart } from './walk.js';
import { OPERATIONS, STARTS } from './operations.js';
import type { Operation } from './operations.js';
import { INITIAL } from './records.js';
import { announceCases, IS_EXHAUSTIVE, SeededChoice } from './seeded-choice.js';

const WALK_LIMIT_MS = 1_200_000;
const COMMANDS_MAX = 2000;
/** About as many commands as the shortest of the operations sends. */
const SAMPLE_UP_TO = 60;
const SAMPLES = 2;

const resources = new Resources();
let stage: CrashStage;
let children: WarmProcesses;
let cases = 0;
beforeAll(async () => {
  stage = resources.use(await CrashStage.start());
  children = resources.use(new WarmProcesses());
});
afterAll(async () => {
  await resources.stop();
  announceCases('stalled owner', cases);
});

const operations = [...STARTS, ...OPERATIONS].filter(({ name }) =>
  ['encrypt', 'decrypt, with an inactive key', 'rotation'].includes(name),
);

/** Everything in Redis but what a process that lives may always write: heartbeats, locks, and what is counted. */
async function written(): Promise<Readonly<Record<string, string>>> {
  const keys = (await stage.client.keys('*')).filter(
    (key) => !/\{meta\}:(lock|process|encryptions)/.test(key),
  );
  const entries = keys
    .toSorted()
    .map(async (key) => [key, (await stage.client.dumpBuffer(key)).toString('hex')]);
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>;
}

/** @returns findings, or `undefined` when the operation has no n-th command */
async function runCase(operation: Operation, n: number): Promise<string[] | undefined> {
  const { base, encrypt, steps } = operation;
  const child = children.take();
  try {
    await stage.reset(base, encrypt);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const stopped = new Promise<boolean>((resolve) => {
      const intercept = async (requests: number): Promise<'pass'> => {
        if (requests !== n) return 'pass';
        child.signal('SIGSTOP');
        resolve(true);
        await held;
        return 'pass';
      };
      const watch = (): void => {
        stage.proxy.reset();
        stage.proxy.intercept = ({ direction, n: passage }) =>
          direction === 'request' ? intercept(passage) : 'pass';
      };
      if (steps.length === 0) watch();
      void child.open(stage.order(encrypt, steps)).then(async () => {
        if (steps.length > 0) {
          watch();
          child.go();
        }
        await child.end();
        resolve(false);
      });
    });
    if (!(await stopped)) return undefined;
    // As if it had slept for longer than the lock lives. One that had not taken it yet may take it when it wakes up.
    const isOwner = (await stage.client.del('vault:{meta}:lock')) === 1;
    const findings = await examineNextStart(stage, encrypt, [INITIAL]);
    const before = await written();
    release();
    child.signal('SIGCONT');
    await child.end();
    const after = isOwner ? await written() : before;
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (before[key] !== after[key]) findings.push(`it wrote ${key} when it woke up`);
    }
    return [...findings, ...(await examineNextStart(stage, encrypt, [INITIAL]))];
  } finally {
    child.signal('SIGCONT');
    await child.stop();
  }
}

describe.each(operations)('$name', (operation) => {
  test(
    'a stalled owner that wakes up writes nothing',
    async () => {
      const wrong: Record<string, readonly string[]> = {};
      const numbers = IS_EXHAUSTIVE
        ? Array.from({ length: COMMANDS_MAX }, (_, n) => n + 1)
        : new SeededChoice(`stalled ${operation.name}`).pick(SAMPLES, SAMPLE_UP_TO);
      for (const n of numbers) {
        const findings = await runCase(operation, n);
        if (findings === undefined) break;
        cases += 1;
        if (findings.length > 0) wrong[`n = ${n}`] = findings;
      }
      expect(wrong).toEqual({});
    },
    WALK_LIMIT_MS,
  );
});
