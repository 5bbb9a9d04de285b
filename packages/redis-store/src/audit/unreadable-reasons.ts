/**
 * Why records cannot be read, looked for where it takes longer than a read may: an envelope that opens
 * for another record was moved here, and one under an inactive key was put back from an older copy.
 */
import { envelopeKeyId } from '@vault/crypto';
import type { Problem } from './audit.js';
import { RecordUnreadableError } from '../errors.js';
import { readRecords } from '../partitions/record-stream.js';
import { openingRules } from '../state/opening-rules.js';
import type { OpeningRules } from '../records/record-codec.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';

/** Of 2 µs each: a verify of a database full of altered records ends all the same. */
const ATTEMPTS_MAX = 2_000_000;
/** The event loop is free again after about 2 ms. */
const ATTEMPTS_AT_ONCE = 1000;

interface Suspect {
  /** Of the list that is given back. */
  readonly at: number;
  readonly stored: Buffer;
}

/** The same problems, with the reasons `moved` and `inactive-key` where they hold. */
export async function explainUnreadable(
  keeper: SealKeeper,
  problems: readonly Problem[],
): Promise<readonly Problem[]> {
  const explained = [...problems];
  const inactive = new Set<string>(keeper.content.inactiveKeyIds);
  const suspects: Suspect[] = [];
  for (const [at, problem] of problems.entries()) {
    if (problem.reason !== 'tampered' && problem.reason !== 'unknown-key') continue;
    // oxlint-disable-next-line no-await-in-loop -- a thousand at most
    const stored = await problem.partition?.read(problem.id);
    if (stored === undefined) continue;
    if (problem.reason === 'tampered') suspects.push({ at, stored });
    else if (inactive.has(envelopeKeyId(stored) ?? '')) {
      explained[at] = { ...problem, reason: 'inactive-key' };
    }
  }
  for (const at of await findMoved(keeper, suspects)) {
    explained[at] = { ...(problems[at] as Problem), reason: 'moved' };
  }
  return explained;
}

/** @returns which of them open for another record that is there */
async function findMoved(keeper: SealKeeper, suspects: readonly Suspect[]): Promise<Set<number>> {
  const moved = new Set<number>();
  if (suspects.length === 0) return moved;
  const rules = openingRules(keeper.current());
  let attempts = 0;
  for await (const { collection, ids } of readRecords(keeper.filed())) {
    for (const id of ids) {
      for (const { at, stored } of suspects) {
        if (moved.has(at)) continue;
        if (opensAs(collection, rules, id, stored)) moved.add(at);
        attempts += 1;
        if (attempts >= ATTEMPTS_MAX) return moved;
        if (attempts % ATTEMPTS_AT_ONCE === 0) {
          // oxlint-disable-next-line no-await-in-loop -- a turn for everybody else
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    }
    if (moved.size === suspects.length) break;
  }
  return moved;
}

function opensAs(
  { codec }: FiledCollection,
  rules: OpeningRules,
  id: string,
  stored: Buffer,
): boolean {
  try {
    codec.open(rules, id, stored).fill(0);
    return true;
  } catch (error) {
    if (error instanceof RecordUnreadableError) return false;
    throw error;
  }
}
