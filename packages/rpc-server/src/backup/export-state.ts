/**
 * `<datadir>/scheduled-export-state`: how the last scheduled export went, for status and metrics, also
 * of a server that was started since. No secret: names of files, times and counts.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '@vault/crypto/files';
import { DATA_FOLDER } from '@vault/redis-store';
import type { Settings } from '../config/settings.js';
import type { ExportProof } from './export-proof.js';

export const EXPORT_STATE_FILE = DATA_FOLDER.exportState.name;
const MODE = 0o600;

export interface ExportState {
  /** ISO 8601 */
  readonly lastTryAt: string;
  /** `incomplete`: records are missing in it, though the file is sound. */
  readonly lastResult: 'proven' | 'incomplete' | 'failed';
  /** What is missing, or why it failed; `null` where it is proven. */
  readonly reason: string | null;
  /** The newest that is complete and was proven; `null` while there is none. */
  readonly proven: {
    /** ISO 8601 */
    readonly at: string;
    readonly file: string;
    readonly records: number;
    readonly proof: ExportProof;
  } | null;
}

/** Part of the status. */
export interface ExportNote {
  /** `null` where none is scheduled, or none was tried yet. */
  readonly scheduledExport: (ExportState & { readonly provenAgeMs: number | null }) | null;
}

/** @returns `undefined` when it is missing or damaged: the next export writes it anew */
export async function readExportState(dataDir: string): Promise<ExportState | undefined> {
  try {
    const state = JSON.parse(
      await readFile(join(dataDir, EXPORT_STATE_FILE), 'utf8'),
    ) as ExportState;
    return Number.isNaN(Date.parse(state.lastTryAt)) ? undefined : state;
  } catch {
    return undefined;
  }
}

export async function writeExportState(dataDir: string, state: ExportState): Promise<void> {
  const path = join(dataDir, EXPORT_STATE_FILE);
  await replaceFile(path, `${JSON.stringify(state)}\n`, { mode: MODE });
}

export async function exportNote(
  settings: Pick<Settings, 'datadir' | 'backup.exportFolder'>,
  nowMs: number,
): Promise<ExportNote> {
  if (settings['backup.exportFolder'] === undefined) return { scheduledExport: null };
  const state = await readExportState(settings.datadir);
  if (state === undefined) return { scheduledExport: null };
  const provenAgeMs = state.proven === null ? null : nowMs - Date.parse(state.proven.at);
  return { scheduledExport: { ...state, provenAgeMs } };
}
