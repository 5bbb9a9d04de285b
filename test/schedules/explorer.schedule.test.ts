/**
 * Plays schedules by seed. `VAULT_SCHEDULES=<n>` plays so many, `VAULT_SCHEDULE_SEED=<n>` begins with that one; one alone
 * is told step by step.
 */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { RedisServer } from '../harness/redis.js';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { isExplained, ScheduleStage, scheduleOf } from './schedule.js';
import type { Schedule, Verdict } from './schedule.js';
import { installGates } from './virtual-process.js';

const SCHEDULES = Number(process.env['VAULT_SCHEDULES'] ?? 200);
/** The gate takes it from the files that it tests. */
const FIRST_SEED = Number(process.env['VAULT_SCHEDULE_SEED'] ?? randomInt(2 ** 31));
/** Plays one seed again, and tells it step by step. */
const REPLAY = 'npm run jest -- --selectProjects schedules';
/** Ten thousand of them, on a busy machine. */
const LIMIT_MS = 7_200_000;

/** Two processes under a rotation, one of which dies, and the other sleeps. */
const EVENTFUL: Schedule = {
  seed: 1,
  operation: 'rotate',
  wasEncrypted: true,
  isEncrypted: true,
  processes: 2,
  clientsPerProcess: 2,
  callsPerClient: 6,
  faults: [
    { kind: 'kill', atStep: 150, victim: 1 },
    { kind: 'sleep', atStep: 250, victim: 0 },
  ],
};

const resources = new Resources();
let stage: ScheduleStage;

beforeAll(async () => {
  const redis = resources.use(await RedisServer.start());
  const folder = resources.use(new TemporaryFolder('vault-schedules'));
  const takeBack = installGates();
  resources.defer(takeBack);
  stage = new ScheduleStage({ admin: redis.client(), socketPath: redis.url, folder: folder.path });
});
afterAll(() => resources.stop());

test(
  `whatever the order, clients are told one story (${SCHEDULES} from seed ${FIRST_SEED})`,
  async () => {
    const wrong: string[] = [];
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
      const schedule = scheduleOf(seed);
      // oxlint-disable-next-line no-await-in-loop -- one Redis
      const verdict = await stage.play(schedule);
      for (const each of verdict.wrong) {
        wrong.push(`${each}; VAULT_SCHEDULES=1 VAULT_SCHEDULE_SEED=${seed} ${REPLAY} tells it`);
      }
      if (SCHEDULES === 1) process.stderr.write(told(schedule, verdict));
    }
    expect(wrong).toEqual([]);
  },
  LIMIT_MS,
);

test('a seed plays the same again', async () => {
  const first = await stage.play(EVENTFUL);
  const second = await stage.play(EVENTFUL);
  expect(first.wrong).toEqual([]);
  expect(first.trace.join()).toMatch(/fault: kill .*fault: sleep /);
  expect(second.trace.map(nameless)).toEqual(first.trace.map(nameless));
  expect(second.history).toEqual(first.history);
});

test('one false answer in a true history is noticed', async () => {
  const { initial, history, wrong } = await stage.play(EVENTFUL);
  const at = history.findLastIndex(({ input, output }) => input.call === 'get' && output !== '[]');
  const falsified = history.map((each, n) => (n === at ? { ...each, output: '[]' } : each));
  expect(wrong).toEqual([]);
  expect(at).toBeGreaterThan(-1);
  expect(isExplained(initial, history)).toBe(true);
  expect(isExplained(initial, falsified)).toBe(false);
});

/** Without what is random in names of keys: process ids, tokens and key ids. */
function nameless(step: string): string {
  return step.replaceAll(/[\w-]{22,36}|[0-9a-f]{16}/g, '…');
}

function told(schedule: Schedule, { trace, history, wrong }: Verdict): string {
  const calls = history.map((each) => JSON.stringify(each));
  return [JSON.stringify(schedule), ...trace, ...calls, ...wrong, ''].join('\n');
}
