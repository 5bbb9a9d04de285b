/**
 * Writes a config backup to a folder again and again, encrypted for the stored recipient or
 * passphrase: an unattended backup that goes on working once the database is encrypted.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { NewFile, removeAbandonedTemporaries } from '@vault/crypto/files';
import type { StoreLogger } from '@vault/redis-store';
import { describeError } from '../log.js';
import type { DatabaseConfigBackup } from './config-backup.js';
import { proveExport } from './export-proof.js';
import type { ExportProof } from './export-proof.js';
import { readExportState, writeExportState } from './export-state.js';
import type { ExportState } from './export-state.js';
import type { BackupProtection } from './open-pgp.js';

export interface ScheduledExportOptions {
  readonly backup: DatabaseConfigBackup;
  readonly protection: BackupProtection | undefined;
  /** Made with mode 0700. */
  readonly folder: string;
  /** At least a minute. */
  readonly everyMs: number;
  /** Newest files that are kept, 1 or more. */
  readonly keep: number;
  /** Where the result is kept. */
  readonly dataDir: string;
  readonly logger: StoreLogger;
}

interface FinishedExport {
  readonly file: string;
  readonly records: number;
  readonly proof: ExportProof;
  readonly leftOut: number;
  readonly leftOutNames: string;
}

/** The names that exports have; other files of the folder are never touched. */
const EXPORT_NAME = /^vault-config_\d{8}T\d{6}Z\.json\.gz(?:\.pgp)?(?:\.incomplete)?$/;
/** Of one in which records are missing: it never pushes out a complete one. */
const INCOMPLETE = '.incomplete';
/** Timers of Node count at most this far, about 24 days: a longer wait is made of several. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export class ScheduledExport {
  readonly #options: ScheduledExportOptions;
  #timer: NodeJS.Timeout | undefined;
  #dueAtMs = 0;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: ScheduledExportOptions) {
    this.#options = options;
  }

  /** Exports at once when the newest file is older than the interval, then every interval. */
  async start(): Promise<void> {
    const { folder, everyMs } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // What a killed process left may hold everything in plaintext, and nobody looks for it.
    await removeAbandonedTemporaries(folder);
    const exports = await this.#exports();
    this.#warnOfPlaintext(exports);
    const newest = exports.at(-1);
    this.#dueAtMs = newest === undefined ? 0 : takenAtMs(newest) + everyMs;
    this.#wait();
  }

  /** Lets an export under way end. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** What was exported before the encryption stays until newer ones push it out. */
  #warnOfPlaintext(exports: readonly string[]): void {
    const { protection, folder, logger } = this.#options;
    const files = exports.filter((name) => !name.includes('.pgp'));
    if (protection === undefined || files.length === 0) return;
    logger.warn('Config backups from before are not encrypted: delete them', { folder, files });
  }

  #wait(): void {
    if (this.#isStopped) return;
    const remainingMs = Math.max(0, this.#dueAtMs - Date.now());
    this.#timer = setTimeout(() => this.#wake(), Math.min(remainingMs, TIMER_MAX_MS)).unref();
  }

  #wake(): void {
    if (Date.now() < this.#dueAtMs) {
      this.#wait();
      return;
    }
    this.#dueAtMs = Date.now() + this.#options.everyMs;
    this.#running = this.#tryExport().finally(() => this.#wait());
  }

  async #tryExport(): Promise<void> {
    const { logger, folder } = this.#options;
    const lastTryAt = new Date().toISOString();
    try {
      const { file, records, proof, leftOut, leftOutNames } = await this.#export();
      if (leftOut === 0) {
        logger.info('scheduled config backup written and proven', { file, records, proof });
        const proven = { at: lastTryAt, file, records, proof };
        await this.#keep({ lastTryAt, lastResult: 'proven', reason: null, proven });
      } else {
        const what = 'scheduled config backup is not complete: run vault-server verify';
        logger.error(what, { file, leftOut, records: leftOutNames });
        const reason = `${leftOut} records are missing: ${leftOutNames}`;
        await this.#keep({ lastTryAt, lastResult: 'incomplete', reason });
      }
      await this.#removeOld();
    } catch (error) {
      logger.error('scheduled config backup failed', { folder, cause: error });
      await this.#keep({ lastTryAt, lastResult: 'failed', reason: describeError(error) });
    }
  }

  /** For status and metrics; what was proven before stays said. Never rejects. */
  async #keep(state: Omit<ExportState, 'proven'> & Partial<ExportState>): Promise<void> {
    const { dataDir, logger } = this.#options;
    try {
      const before = await readExportState(dataDir);
      await writeExportState(dataDir, { proven: before?.proven ?? null, ...state });
    } catch (error) {
      logger.warn('the result of the scheduled config backup could not be kept', { cause: error });
    }
  }

  /** To a temporary file first: what bears the name of a backup is whole, on disk, and proven. */
  async #export(): Promise<FinishedExport> {
    const { backup, protection, folder } = this.#options;
    const prepared = backup.exportFor(protection, {
      compress: true,
      // One that cannot be read keeps the rest from nothing.
      skipUnreadable: true,
    });
    const { fileName } = prepared;
    // Which of the two names it gets is known at its end.
    const file = await NewFile.create(join(folder, fileName), { mode: 0o600 });
    try {
      const sha256 = await writeAll(file, await prepared.open());
      const { leftOut, leftOutNames, records } = prepared;
      const written = { path: file.temporaryPath, protection, records, sha256 };
      const proof = await proveExport(written, backup);
      const path = join(folder, leftOut === 0 ? fileName : `${fileName}${INCOMPLETE}`);
      await file.place({ path });
      return { file: path, records, proof, leftOut, leftOutNames };
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  /** Complete ones and others, each among themselves. */
  async #removeOld(): Promise<void> {
    const { folder, keep } = this.#options;
    const all = await this.#exports();
    const complete = all.filter((name) => !isIncomplete(name));
    const old = [...complete.slice(0, -keep), ...all.filter(isIncomplete).slice(0, -keep)];
    await Promise.all(old.map((name) => unlink(join(folder, name))));
  }

  /** Oldest first: the names sort by time. */
  async #exports(): Promise<string[]> {
    const names = await readdir(this.#options.folder);
    return names.filter((name) => EXPORT_NAME.test(name)).toSorted();
  }
}

const isIncomplete = (name: string): boolean => name.endsWith(INCOMPLETE);

/** @returns SHA-256 of what was written, hex */
async function writeAll(file: NewFile, source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of source) {
    hash.update(piece);
    await file.write(piece);
  }
  await file.finish();
  return hash.digest('hex');
}

/** `vault-config_20261122T060500Z…` → ms since the epoch. */
function takenAtMs(name: string): number {
  const [, date = '', time = ''] = /_(\d{8})T(\d{6})Z/.exec(name) ?? [];
  const [year, month, day] = [date.slice(0, 4), date.slice(4, 6), date.slice(6)];
  const [hour, minute, second] = [time.slice(0, 2), time.slice(2, 4), time.slice(4)];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
