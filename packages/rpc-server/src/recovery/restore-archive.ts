/**
 * An archived database in the place of the one that stands there, noted from before anything is removed until all
 * of it is back: killed in between, the server stays degraded and names the command, and another run ends it.
 */
import { restoreArchive } from '@vault/redis-store';
import type { OpenOptions, RestoreArchiveReport } from '@vault/redis-store';
import { RecoveryMarker } from './recovery-marker.js';

export interface RestoredArchive extends RestoreArchiveReport {
  /** Files with what was in Redis before, those of runs that were cut short too, oldest first. */
  readonly archives: readonly string[];
}

/**
 * @param path absolute
 * @param onArchived gets those files before anything is removed
 * @throws {OperationRefusedError} as `restoreArchive` of the store: nothing was changed
 */
export async function restoreNotedArchive(
  path: string,
  options: OpenOptions & { readonly allowUnprotected: boolean },
  onArchived: (archives: readonly string[]) => void = () => undefined,
): Promise<RestoredArchive> {
  const marker = new RecoveryMarker(options.dataDir);
  const earlier = await marker.read();
  const archives = [...(earlier?.archives ?? [])];
  const report = await restoreArchive(path, {
    ...options,
    onArchived: async (archived) => {
      if (archived !== undefined) archives.push(archived);
      const keyId = earlier?.keyId ?? null;
      await marker.write({
        archives,
        keyId,
        restoring: null,
        archive: path,
        kind: 'restore-archive',
      });
      onArchived(archives);
    },
  });
  await marker.remove();
  return { ...report, archives };
}
