/** Opens the credential database of a configuration, for the server and for the tools beside it. */
import { giveToOwner } from '@vault/crypto/files';
import { CredentialDatabase, DegradedError } from '@vault/redis-store';
import type { OpenOptions, Progress, StoreLogger } from '@vault/redis-store';
import type { SourceEnvironment } from '@vault/keystore';
import { backupProtectionOf, protectMigrationBackup } from './backup/protection.js';
import { custodyOf } from './config/custody-config.js';
import type { ServerConfig } from './config/load-config.js';
import type { LocalRedis } from './local-redis.js';
import { RecoveryMarker } from './recovery/recovery-marker.js';
import type { RecoveryKind, RecoveryUnderWay } from './recovery/recovery-marker.js';

export interface DatabaseParts {
  readonly config: ServerConfig;
  readonly redis: LocalRedis;
  readonly sources: SourceEnvironment;
  readonly role: 'server' | 'tool';
  readonly logger: StoreLogger;
  readonly onProgress?: (progress: Progress) => void;
  readonly onDegraded?: (error: DegradedError) => void;
  /** Gives a migration up between two of its steps; the next start goes on with it. */
  readonly signal?: AbortSignal;
}

/**
 * @throws {DegradedError} when the database may not be served
 * @throws {ConfigError} when the configuration of a half source or of the backup is wrong
 */
export async function openDatabase(parts: DatabaseParts): Promise<CredentialDatabase> {
  await checkNoRecovery(parts.config.settings.datadir);
  return CredentialDatabase.open(await openOptions(parts));
}

interface UnderWayText {
  readonly what: string;
  readonly advice: (underWay: RecoveryUnderWay) => string;
}

const UNDER_WAY_TEXTS = {
  recover: {
    what: 'a recovery',
    advice: () => 'run vault-server recover, and import the config backup again',
  },
  'restore-migration-backup': {
    what: 'the putting back of a migration backup',
    advice: () => 'run vault-server restore-migration-backup again, with the same file',
  },
  'restore-archive': {
    what: 'the putting back of an archived database',
    advice: ({ archive }) =>
      `run vault-server restore-archive again, as before: vault-server restore-archive ${archive ?? '<archive>'} --yes`,
  },
} as const satisfies Record<RecoveryKind, UnderWayText>;

/** What a recovery left half done is no database, whatever it looks like. */
async function checkNoRecovery(dataDir: string): Promise<void> {
  const underWay = await new RecoveryMarker(dataDir).read();
  if (underWay === undefined) return;
  const { archives, kind } = underWay;
  const kept = archives.length === 0 ? '' : `; what Redis held before is in ${archives.join(', ')}`;
  const { what, advice } = UNDER_WAY_TEXTS[kind];
  throw new DegradedError('startFailed', {
    cause: `${what} was begun and did not end${kept}`,
    advice: advice(underWay),
  });
}

/** What {@link openDatabase} opens it with. */
export async function openOptions(parts: DatabaseParts): Promise<OpenOptions> {
  const { config, redis, sources, role, logger, onProgress, onDegraded, signal } = parts;
  const { settings, collections } = config;
  giveToOwner(settings.datadir);
  const { custody, warnings } = await custodyOf(settings, sources);
  for (const warning of warnings) logger.warn(warning);
  const protection = await backupProtectionOf(settings);
  return {
    redis: redis.options,
    prefix: settings['redis.prefix'],
    collections,
    custody,
    dataDir: settings.datadir,
    encrypt: settings['redis.encryptCredentialDatabase'],
    role,
    logger,
    ownRedis: redis.isOwn,
    deletionGraceMs: settings['keystore.deletionGrace'],
    checkHalvesEveryMs: settings['keystore.checkEvery'],
    ...(onProgress !== undefined && { onProgress }),
    ...(onDegraded !== undefined && { onDegraded }),
    ...(signal !== undefined && { onStep: () => rejectWhenAborted(signal) }),
    ...(protection !== undefined && {
      backupProtection: { ending: '.pgp', protect: protectMigrationBackup(protection) },
    }),
  };
}

function rejectWhenAborted(signal: AbortSignal): Promise<void> {
  return signal.aborted ? Promise.reject(new Error('the server is stopping')) : Promise.resolve();
}
