/** Step 4: every record equals the manifest in its new form, and the indexes hold just what the records say. */
import type { VaultKey } from '@vault/crypto';
import { audit, PROBLEM_KINDS } from '../audit/audit.js';
import type { Problem, ProblemKind } from '../audit/audit.js';
import { onlyKey } from './backup.js';
import type { MigrationContext } from './migration-context.js';
import { MigrationError } from '../migration-error.js';
import { openManifest } from './transform.js';
import type { Direction } from './transform.js';

/** Problems that were there before, are reported, and are no reason to fail. */
const TOLERATED: ReadonlySet<ProblemKind> = new Set<ProblemKind>(['unreadable', 'absent']);
/** Named in the message of a failure. */
const NAMED_MAX = 10;

/**
 * @returns how many records there are, and how many of them cannot be read and were so before
 * @throws {MigrationError} naming what is wrong
 */
export async function verifyMigration(
  context: MigrationContext,
  direction: Direction,
  key: VaultKey,
  backup: string,
): Promise<{ readonly records: number; readonly unreadable: number }> {
  const isEncrypted = direction === 'encrypt';
  const manifest = await openManifest(context, key, backup);
  const wrong: Problem[] = [];
  const foreign: Problem[] = [];
  let unreadable = 0;
  let records: number;
  try {
    ({ records } = await audit({
      link: context.link,
      collections: context.keeper.filed(),
      rules: {
        mayBePlaintext: !isEncrypted,
        mayBeEnvelope: isEncrypted,
        byId: onlyKey(key),
      },
      key: isEncrypted ? key : undefined,
      manifest,
      progress: (done, total) => context.progress('verify', done, total),
      check: () => context.lock.check(),
      onProblem: (problem) => {
        if (problem.kind === 'entry-foreign') foreign.push(problem);
        else if (TOLERATED.has(problem.kind)) {
          unreadable++;
          report(context, problem);
        } else wrong.push(problem);
      },
    }));
  } finally {
    await manifest.close();
  }
  if (wrong.length > 0) throw new MigrationError(describe(wrong));
  await removeForeign(context, foreign);
  return { records, unreadable };
}

function report({ logger }: MigrationContext, { kind, collection, id, reason }: Problem): void {
  logger.error(`A record was left as it is: ${PROBLEM_KINDS[kind]}`, { collection, id, reason });
}

function describe(problems: readonly Problem[]): string {
  const shown = problems
    .slice(0, NAMED_MAX)
    .map(({ kind, collection, id }) => `${collection} ${id}: ${PROBLEM_KINDS[kind]}`);
  const more = problems.length > NAMED_MAX ? `; and ${problems.length - NAMED_MAX} more` : '';
  return `verification found ${shown.join('; ')}${more}`;
}

/** Entries that no record answers for would show for ever who shared a value: they go. */
export async function removeForeign(
  context: MigrationContext,
  foreign: readonly Problem[],
): Promise<void> {
  for (const { collection, id, index, partition, entry } of foreign) {
    context.logger.warn('An index entry that no record answers for was removed', {
      collection,
      id,
      index,
    });
    if (partition === undefined || entry === undefined) continue;
    // oxlint-disable no-await-in-loop -- rare
    const stored = (await partition.read(id)) ?? null;
    const op = { id, expected: stored, value: stored, add: [], remove: [entry], mayRepeat: true };
    await partition.apply(context.keeper.fenceOf(partition), [op]);
    // oxlint-enable no-await-in-loop
  }
}
