/** What an operator does about halves that do not open the database. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DegradedError, isOfKind } from '@vault/redis-store';
import type { DegradedReason } from '@vault/redis-store';
import { readUnprovenKitState } from './kit-state.js';

const HALF_REASONS: ReadonlySet<DegradedReason> = new Set<DegradedReason>([
  'keysMissing',
  'oneHalf',
  'decryptionFailed',
  'keyLoadingFailed',
]);

/** The same error, with advice where a half is missing, corrupt or of another key. */
export async function withRecoveryAdvice(
  error: DegradedError,
  dataDir: string,
): Promise<DegradedError> {
  const { reason, details } = error;
  if (!HALF_REASONS.has(reason) || details.advice !== undefined) return error;
  const kit = await readUnprovenKitState(dataDir);
  const isOfNeededKey = kit !== undefined && kit.keyId === details.neededKeyId;
  // Whole, but of another key: most often a secret that was replaced, and the one before it not kept.
  const isOther = (details.foundKeyIds?.length ?? 0) > 0 && details.diagnosis?.length === 0;
  const half = isOfNeededKey
    ? `run \`vault-server recovery-kit restore <file>\` with the recovery kit that was made ${kit.createdAt}`
    : isOther
      ? `put the halves of key ${details.neededKeyId ?? ''} back beside those of the other key (a secret of the environment goes into <variable>_PREVIOUS), by hand or with \`vault-server recovery-kit restore <file>\``
      : 'put the half back where it was, by hand or with `vault-server recovery-kit restore <file>`';
  const backup = await newestMigrationBackup(dataDir);
  const putBack =
    backup === undefined
      ? ''
      : `\`vault-server restore-migration-backup ${backup.path}\` puts back what a migration kept there ${backup.writtenAt}, and `;
  const advice = `${half}, and restart; where it is lost for ever, ${putBack}\`vault-server recover\` takes a config backup instead`;
  return new DegradedError(reason, { ...details, advice }, { cause: error.cause });
}

const isMigrationBackup = (name: string): boolean =>
  isOfKind('migrationBackup', name) && !name.endsWith('.manifest');

interface MigrationBackup {
  readonly path: string;
  /** ISO 8601 */
  readonly writtenAt: string;
}

/** Without its keys the seal is not believed, so the folder says which backups there are. */
async function newestMigrationBackup(dataDir: string): Promise<MigrationBackup | undefined> {
  const names = await readdir(dataDir).catch(() => []);
  const found = await Promise.all(
    names.filter(isMigrationBackup).map(async (name) => {
      const path = join(dataDir, name);
      const { mtimeMs } = await stat(path);
      return { path, mtimeMs };
    }),
  );
  const [newest] = found.toSorted((one, other) => other.mtimeMs - one.mtimeMs);
  return newest && { path: newest.path, writtenAt: new Date(newest.mtimeMs).toISOString() };
}
