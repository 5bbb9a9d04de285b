/** What a serving server does by itself from time to time, by settings that may change while it serves. */
import { backupProtectionOf } from '../backup/protection.js';
import type { DatabaseConfigBackup } from '../backup/config-backup.js';
import { ScheduledExport } from '../backup/scheduled-export.js';
import type { Settings } from '../config/settings.js';
import { describeError } from '../log.js';
import type { Logger } from '../log.js';
import { KeyAgeWatch } from './key-age-watch.js';
import type { ServedDatabase } from './served-database.js';

export interface SchedulesOptions {
  readonly database: ServedDatabase;
  readonly backup: DatabaseConfigBackup;
  readonly log: (namespace: string) => Logger;
}

export class Schedules {
  readonly #options: SchedulesOptions;
  #exports: ScheduledExport | undefined;
  #keyAge: KeyAgeWatch | undefined;

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  /** Begins, or begins anew: what is under way ends first. */
  async begin(settings: Settings): Promise<void> {
    await this.stop();
    const { database, log } = this.#options;
    this.#keyAge = new KeyAgeWatch({
      database,
      rotateAfterMs: settings['keystore.rotateAfter'],
      isAutomatic: settings['keystore.rotateAutomatically'],
      logger: log('keys'),
    });
    this.#keyAge.start();
    await this.#beginExports(settings);
  }

  /** As {@link begin}, of a server that serves: where that cannot be, it lives on without, and says so. */
  async beginAgain(settings: Settings): Promise<void> {
    try {
      await this.begin(settings);
    } catch (error) {
      const advice = 'correct it and send SIGHUP again';
      const cause = describeError(error);
      this.#options.log('backup').error('Schedules were not begun again', { cause, advice });
    }
  }

  /** Lets what is under way end. */
  async stop(): Promise<void> {
    await this.#exports?.stop();
    await this.#keyAge?.stop();
    this.#exports = undefined;
    this.#keyAge = undefined;
  }

  async #beginExports(settings: Settings): Promise<void> {
    const folder = settings['backup.exportFolder'];
    if (folder === undefined) return;
    const logger = this.#options.log('backup');
    const exports = new ScheduledExport({
      backup: this.#options.backup,
      protection: await backupProtectionOf(settings),
      folder,
      everyMs: settings['backup.exportEvery'],
      keep: settings['backup.exportKeep'],
      dataDir: settings.datadir,
      logger,
    });
    try {
      await exports.start();
      this.#exports = exports;
    } catch (error) {
      logger.error('scheduled config backups cannot be made', { folder, cause: error });
    }
  }
}
