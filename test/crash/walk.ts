/** Walks one fault through one operation: at its first passage, at its second, until none is left. */
import { expect } from '@jest/globals';
import { DegradedError } from '@vault/redis-store';
import { allowedContents } from './crash-stage.js';
import type { CrashStage, WarmProcesses } from './crash-stage.js';
import { examineDatabase, examineResidue } from './examine.js';
import type { Operation } from './operations.js';
import { wrongAnswers } from './records.js';
import type { Contents } from './records.js';
import { IS_EXHAUSTIVE, SeededChoice } from './seeded-choice.js';
import type { Report, StoreProcess, Story } from './store-process.js';

/** A fault of any kind, ready to strike. */
export interface Armed {
  /** What it hit, once it has. */
  readonly hit: string | undefined;
  /** How many chances it had. */
  readonly passages: number;
  /** Ends the fault: what it took away is there again. */
  settled(): Promise<void>;
  /** Something that strikes only after the next start. @returns whether it did */
  deliverLate?(): Promise<boolean>;
}

export interface Walk {
  readonly stage: CrashStage;
  readonly children: WarmProcesses;
  readonly operation: Operation;
  /** For messages, and for the choice of a sample. */
  readonly fault: string;
  /** Whether the process may meet a Redis that was rolled back. */
  readonly mayBeRolledBack?: true;
  readonly arm: (child: StoreProcess, n: number) => Armed;
  /** Looks right after the fault. Default: nothing. */
  readonly findLostKeys?: () => Promise<string[]>;
  /** Opens the database again and examines it; default: {@link examineNextStart}. */
  readonly examine?: (allowed: readonly Contents[]) => Promise<string[]>;
}

/** More passages than any operation on a dozen records has. */
const PASSAGES_MAX = 2000;
/** Codes that a process may give up with, whatever is done to its Redis, its files or its halves. */
const HONEST_CODES: ReadonlySet<string> = new Set([
  'OUTCOME_UNKNOWN',
  'REDIS_UNAVAILABLE',
  'REDIS_REFUSED',
  'OPERATION_REFUSED',
  'DATABASE_LOCKED',
  'DATABASE_DEGRADED',
  'STATE_STALE',
  'ENOSPC',
  'EACCES',
]);

/** Cases of one fault in one operation that a sample takes. */
const SAMPLES = 1;
/** How many chances each operation has, from its undisturbed run. */
const passagesOf = new Map<string, number>();
let casesDone = 0;

/** Cases that this test file has run. */
export function countCases(): number {
  return casesDone;
}

/** Runs all cases, or the sample. A case that went wrong is told with its number. */
export async function expectSurvival(parts: Walk): Promise<void> {
  const { operation, fault } = parts;
  const wrong: Record<string, readonly string[]> = {};
  const run = async (n: number): Promise<CaseResult> => {
    const result = await runCase(parts, n);
    casesDone += 1;
    const { hit = 'not hit', findings } = result;
    if (findings.length > 0) wrong[`n = ${n}, ${hit}`] = findings;
    return result;
  };
  if (IS_EXHAUSTIVE) {
    let n = 1;
    // A run that was not hit and did not come to its end (a time-out on a busy machine) is not the last one.
    while (n < PASSAGES_MAX && !(await run(n)).isUndisturbed) n += 1;
    // Past jest, which says nothing before the whole file is through.
    const verdict = Object.keys(wrong).length === 0 ? 'right' : JSON.stringify(wrong, undefined, 2);
    process.stderr.write(`${operation.name}, ${fault}: ${n} cases, ${verdict}\n`);
  } else {
    // Undisturbed first: it must be right then, and tells how many passages there are.
    const passages = passagesOf.get(operation.name) ?? (await run(PASSAGES_MAX)).passages;
    passagesOf.set(operation.name, passages);
    const choice = new SeededChoice(`${operation.name}, ${fault}`);
    for (const n of choice.pick(SAMPLES, passages)) await run(n);
  }
  expect(wrong).toEqual({});
}

interface CaseResult extends Pick<Armed, 'hit' | 'passages'> {
  readonly findings: readonly string[];
  /** Nothing struck, and the process came to its end. */
  readonly isUndisturbed: boolean;
}

async function runCase(
  { stage, children, operation, arm, ...parts }: Walk,
  n: number,
): Promise<CaseResult> {
  const { base, encrypt, steps } = operation;
  const child = children.take();
  try {
    await stage.reset(base, encrypt);
    let armed: Armed;
    if (steps.length === 0) {
      armed = arm(child, n);
      await child.open(stage.order(encrypt));
    } else {
      await child.open(stage.order(encrypt, steps));
      armed = arm(child, n);
      child.go();
    }
    const story = await child.end();
    await armed.settled();
    stage.proxy.reset();
    const findings = [
      ...examineStory(story, parts.mayBeRolledBack),
      ...wrongAnswers(steps, acknowledgedBy(story)),
      ...((await parts.findLostKeys?.()) ?? []),
    ];
    const allowed = allowedContents(steps, acknowledgedBy(story));
    const examine = parts.examine ?? ((contents) => examineNextStart(stage, encrypt, contents));
    findings.push(...(await examine(allowed)));
    if ((await armed.deliverLate?.()) === true) {
      findings.push(...(await examine(allowed)).map((finding) => `late: ${finding}`));
    }
    const { hit, passages } = armed;
    const hasFailed = story.reports.some(({ event }) => event === 'failed' || event === 'degraded');
    return { hit, passages, findings, isUndisturbed: hit === undefined && !hasFailed };
  } finally {
    await child.stop();
  }
}

/** The next start must serve, and all must be right. */
export async function examineNextStart(
  stage: CrashStage,
  encrypt: boolean,
  allowed: readonly Contents[],
): Promise<string[]> {
  try {
    const findings = await stage.using(encrypt, (database) =>
      examineDatabase(database, encrypt, allowed),
    );
    return [...findings, ...(await examineResidue(stage, encrypt))];
  } catch (error) {
    if (!(error instanceof DegradedError)) throw error;
    return [`the next start is degraded: ${error.reason}, ${JSON.stringify(error.details)}`];
  }
}

function acknowledgedBy({ reports }: Story): unknown[] {
  return reports.flatMap((report) => (report.event === 'acknowledged' ? [report.result] : []));
}

/** What a fault may never look like: each sends an operator to mend what is not broken. */
const WRONG_REASONS: ReadonlySet<string> = new Set([
  'keysMissing',
  'oneHalf',
  'foreignDatabase',
  'newerLayout',
  'oppositeSetting',
]);

/** The process was killed, came to its end, or gave up with an error that says why. */
function examineStory(
  { reports, wasKilled, stderr }: Story,
  mayBeRolledBack: boolean | undefined,
): string[] {
  const findings = stderr === '' ? [] : [`it printed ${stderr}`];
  const last = reports.findLast(({ event }) => event !== 'closed') as Report;
  if (last.event === 'failed' && !HONEST_CODES.has(last.code)) {
    findings.push(`it failed with ${last.code}: ${last.message}`);
  }
  const mayBeForeign =
    mayBeRolledBack === true && last.event === 'degraded' && last.reason === 'foreignDatabase';
  if (last.event === 'degraded' && WRONG_REASONS.has(last.reason) && !mayBeForeign) {
    findings.push(`it was degraded for the wrong reason ${last.reason}: ${last.cause}`);
  }
  const hasEnded = last.event === 'degraded' || reports.at(-1)?.event === 'closed';
  if (!wasKilled && !hasEnded) findings.push(`it ended without a word, after ${last.event}`);
  return findings;
}
