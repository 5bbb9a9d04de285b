/** What every step of a migration works with. */
import type { KeyCustody } from '@vault/crypto';
import type { MigrationLock } from '../state/lock.js';
import { DELETION_GRACE_MS } from '../open-options.js';
import type { BackupProtection, OpenOptions } from '../open-options.js';
import type { ProcessIdentity } from '../state/process-identity.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import type { StoreLogger } from '../store-logger.js';

/** What one process keeps, because Redis may still come back as of a time when it is needed: one sentence each. */
export interface KeptBecause {
  /** Keys that nothing else needs: after *decrypt*, or the previous one of a rotation. */
  keys: string | undefined;
  /** The backup of *encrypt*. */
  files: string | undefined;
}

export interface MigrationContext {
  readonly link: RedisLink;
  readonly keeper: SealKeeper;
  readonly lock: MigrationLock;
  readonly custody: KeyCustody;
  readonly dataDir: string;
  readonly host: string;
  readonly logger: StoreLogger;
  /** Redis is run by us: its files and slow log are ours to clean. */
  readonly isOwnRedis: boolean;
  readonly protection: BackupProtection | undefined;
  /** A record that stands there was planted. */
  readonly mustBeEmpty: boolean;
  readonly kept: KeptBecause;
  /** How long a condemned line stays. */
  readonly deletionGraceMs: number;
  progress(phase: string, done: number, total: number): void;
  /**
   * Between any two steps: makes sure that the lock is held. Tests stop a migration here, as a crash
   * would.
   */
  step(name: string): Promise<void>;
}

/** What the steps of a migration work with. */
export function makeContext(parts: {
  readonly options: OpenOptions;
  readonly link: RedisLink;
  readonly keeper: SealKeeper;
  readonly logger: StoreLogger;
  readonly identity: ProcessIdentity;
  readonly lock: MigrationLock;
  readonly kept: KeptBecause;
}): MigrationContext {
  const { options, link, keeper, logger, identity, lock, kept } = parts;
  return {
    link,
    keeper,
    lock,
    kept,
    custody: options.custody,
    dataDir: options.dataDir,
    host: identity.host,
    logger,
    isOwnRedis: options.ownRedis ?? false,
    protection: options.backupProtection,
    mustBeEmpty: options.mustBeEmpty ?? false,
    deletionGraceMs: options.deletionGraceMs ?? DELETION_GRACE_MS,
    progress: (phase, done, total) => options.onProgress?.({ phase, done, total }),
    step: async (name) => {
      await options.onStep?.(name);
      lock.check();
    },
  };
}
