/**
 * `<datadir>/recovery-under-way`: says that a recovery, or the putting back of a migration backup, began
 * to change the database and did not end. While it is there, no start takes what Redis holds for the
 * database; the next recovery goes on.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

export const RECOVERY_MARKER_FILE = 'recovery-under-way';
const MODE = 0o600;

export interface RecoveryUnderWay {
  /** Files that hold what was in Redis before, oldest first. */
  readonly archives: readonly string[];
  /** The new key, from before its halves are written: the next attempt uses it where they are there, and writes no further pair. */
  readonly keyId: string | null;
  /** SHA-256 of the migration backup that is being put back into the new database; `null` for a recovery, and before there is one that was proven empty. */
  readonly restoring: string | null;
  readonly kind: RecoveryKind;
}

/** Which command goes on with it. */
export type RecoveryKind = 'recover' | 'restore-migration-backup';

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
      const { archives, keyId, restoring, kind } = JSON.parse(text) as Partial<RecoveryUnderWay>;
      return {
        archives: archives ?? [],
        keyId: keyId ?? null,
        restoring: restoring ?? null,
        kind: kind ?? 'recover',
      };
    } catch {
      return { archives: [], keyId: null, restoring: null, kind: 'recover' };
    }
  }

  /** Durable when it returns. */
  async write(state: RecoveryUnderWay): Promise<void> {
    const temporary = `${this.path}.tmp`;
    const file = await open(temporary, 'w', MODE);
    try {
      await file.writeFile(`${JSON.stringify(state)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.path);
    await this.#syncFolder();
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
    await this.#syncFolder();
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(this.#dataDir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
