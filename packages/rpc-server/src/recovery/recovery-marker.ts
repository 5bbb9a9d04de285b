/**
 * `<datadir>/recovery-under-way`: says that a recovery, or the putting back of a migration backup or of an
 * archive, began to change the database and did not end. While it is there, no start takes what Redis holds for the
 * database; the next recovery goes on.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFiles, replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';

export const RECOVERY_MARKER_FILE = DATA_FOLDER.recoveryMarker.name;
const MODE = 0o600;

export interface RecoveryUnderWay {
  /** Files that hold what was in Redis before, oldest first. */
  readonly archives: readonly string[];
  /** The new key, from before its halves are written: the next attempt uses it where they are there, and writes no further pair. */
  readonly keyId: string | null;
  /** SHA-256 of the migration backup that is being put back into the new database; `null` for a recovery, and before there is one that was proven empty. */
  readonly restoring: string | null;
  /** The archive that is being put back; `null` for anything else. */
  readonly archive: string | null;
  readonly kind: RecoveryKind;
}

const RECOVERY_KINDS = ['recover', 'restore-migration-backup', 'restore-archive'] as const;
/** Which command goes on with it. */
export type RecoveryKind = (typeof RECOVERY_KINDS)[number];

/** What a marker says that cannot be read: nobody knows what was begun. */
const UNKNOWN: RecoveryUnderWay = {
  archives: [],
  keyId: null,
  restoring: null,
  archive: null,
  kind: 'recover',
};

export class RecoveryMarker {
  readonly path: string;
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.path = join(dataDir, RECOVERY_MARKER_FILE);
  }

  /** @returns `undefined` when no recovery is under way; one that cannot be read is one all the same */
  async read(): Promise<RecoveryUnderWay | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const read = { ...UNKNOWN, ...(JSON.parse(text) as Partial<RecoveryUnderWay>) };
      const isWhole = RECOVERY_KINDS.includes(read.kind) && Array.isArray(read.archives);
      return isWhole ? read : UNKNOWN;
    } catch {
      return UNKNOWN;
    }
  }

  /** Durable when it returns. */
  async write(state: RecoveryUnderWay): Promise<void> {
    await replaceFile(this.path, `${JSON.stringify(state)}\n`, { mode: MODE });
  }

  async remove(): Promise<void> {
    await removeFiles(this.#dataDir, [RECOVERY_MARKER_FILE]);
  }
}
