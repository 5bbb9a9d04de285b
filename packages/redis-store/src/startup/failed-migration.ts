/** What an operator is told of a migration that failed: where the backup is, and what to do. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DegradedError } from '../errors.js';
import { messageOf } from '../error-message.js';
import { backupPathOf, migrationAdvice } from '../engine/encrypt-decrypt.js';
import { UniqueContradictionError } from '../migration-error.js';
import type { SealContent } from '../state/seal.js';
import { DATA_FOLDER } from '../files/data-folder.js';

/** The file that a first migration names, for a message about one that did not come so far. */
const FIRST_BACKUP = `${DATA_FOLDER.migrationBackup.name}.json`;

/** @param content of the seal, `undefined` where there is none yet */
export function migrationFailed(
  error: unknown,
  content: SealContent | undefined,
  dataDir: string,
): DegradedError {
  const cause = messageOf(error);
  const advice =
    error instanceof UniqueContradictionError
      ? error.degradedAdvice
      : migrationAdvice(content, dataDir);
  // A rotation, an import and a change of the collections make no backup.
  const hasNone = content?.migration === null && !isPlainStart(content);
  const backupPath = backupPathOf(content, dataDir) ?? join(dataDir, FIRST_BACKUP);
  const details = hasNone ? { cause, advice } : { backupPath, cause, advice };
  return new DegradedError('migrationFailed', details, { cause: error });
}

/** Where an *encrypt* or *decrypt* failed before the seal spoke of it. */
function isPlainStart({ state, importing, previousDefinitions }: SealContent): boolean {
  return state !== 'rekeying' && importing === null && previousDefinitions === null;
}

/** As it is, with the backup that is there: a Redis that was rolled back in the middle may lack records that it has. */
export function namingBackup(
  error: DegradedError,
  content: SealContent | undefined,
  dataDir: string,
): DegradedError {
  const backupPath = backupPathOf(content, dataDir);
  return backupPath === undefined || !existsSync(backupPath)
    ? error
    : new DegradedError(error.reason, { backupPath, ...error.details }, { cause: error });
}
