/** The opening of a database: connected, looked at, brought into the state that the setting asks for, and followed from then on. */
import { removeAbandonedTemporaries } from '@vault/crypto/files';
import { checkDefinitions } from '../records/collection-definition.js';
import { DegradedError, StoreError } from '../errors.js';
import { expectationOf, refuseForeignRedis } from './foreign-redis.js';
import { HalvesWatch } from '../state/halves-watch.js';
import { messageOf } from '../error-message.js';
import { KeyNames } from '../redis/key-names.js';
import { loadKeys } from '../state/load-keys.js';
import { removeAbandonedBackups } from '../engine/abandoned-backups.js';
import type { KeptBecause } from '../engine/migration-context.js';
import { refuseStandingKeys, refuseStandingRecords } from '../engine/must-be-empty.js';
import { CHECK_HALVES_EVERY_MS } from '../open-options.js';
import type { OpenOptions } from '../open-options.js';
import { MigrationLock } from '../state/lock.js';
import { currentIdentity } from '../state/process-identity.js';
import type { ProcessIdentity } from '../state/process-identity.js';
import { Heartbeat } from '../state/processes.js';
import { RedisLink } from '../redis/redis-link.js';
import { SealKeeper } from '../state/seal-keeper.js';
import { SILENT_LOGGER } from '../store-logger.js';
import { Witness } from '../state/witness.js';
import { DatabaseStart } from './start.js';
import { definitionsRefusal, refusalOf } from './state-refusal.js';

/** What an open database works with. */
export interface DatabaseParts {
  readonly options: OpenOptions;
  readonly link: RedisLink;
  readonly keeper: SealKeeper;
  readonly witness: Witness;
  readonly identity: ProcessIdentity;
  readonly heartbeat: Heartbeat;
  readonly kept: KeptBecause;
  readonly halves: HalvesWatch;
}

/**
 * @throws {DegradedError} when it may not be served: nothing was opened
 * @throws RangeError for definitions or options that contradict themselves
 */
export async function openParts(options: OpenOptions): Promise<DatabaseParts> {
  checkDefinitions(options.collections);
  const names = new KeyNames(options.prefix);
  const link = await connected(RedisLink.connect(options.redis, names));
  try {
    await checkOurs(link, options);
    return await openOn(link, options);
  } catch (error) {
    await link.close();
    throw error;
  }
}

/** Before anything is written: another system's Redis, or what was planted, stays as it is. @throws {DegradedError} */
async function checkOurs(link: RedisLink, { dataDir, mustBeEmpty }: OpenOptions): Promise<void> {
  try {
    await refuseForeignRedis(link, expectationOf(await new Witness(dataDir).read()));
    if (mustBeEmpty === true) await refuseStandingKeys(link);
  } catch (error) {
    throw asDegraded(error);
  }
}

async function openOn(link: RedisLink, options: OpenOptions): Promise<DatabaseParts> {
  const logger = options.logger ?? SILENT_LOGGER;
  const role = options.role ?? 'server';
  const identity = currentIdentity();
  const witness = new Witness(options.dataDir);
  const { custody, collections: definitions } = options;
  const report = await loadKeys({ custody, link, witness });
  const parts = { link, witness, custody, identity, definitions, logger, role };
  const keeper = new SealKeeper(parts, report);
  // What an absent or a false setting means is decided when the seal is read.
  const setting = { role, isEncrypting: options.encrypt === true ? true : null };
  const heartbeat = new Heartbeat(link, identity, setting, report.ring, logger);
  keeper.onRing = (ring) => heartbeat.useRing(ring);
  const announce = (isEncrypting: boolean) => heartbeat.useDecision(isEncrypting);
  const start = new DatabaseStart({ options, link, keeper, witness, identity, logger, announce });
  keeper.serves = (content, known) => refusalOf(content, known, options, start.isEncrypting);
  try {
    // Before the seal is read: whoever changes keys and then lists the processes misses none.
    await heartbeat.start();
    await start.run();
    if (options.mustBeEmpty === true) await refuseStandingRecords(link);
    if (role === 'server') {
      await keeper.noteState();
      await removeAbandonedTemporaries(options.dataDir);
      await removeAbandonedBackups(options.dataDir, link, keeper, logger);
    }
    // Before, this process itself may have been the one that changes them.
    keeper.serves = (content, known) =>
      refusalOf(content, known, options, start.isEncrypting) ??
      definitionsRefusal(content, options);
    // Before, a degraded database is one that does not open, and `open` says so itself.
    keeper.onDegraded = (error) => options.onDegraded?.(error);
    start.warn();
    const { kept } = start;
    const halves = new HalvesWatch({
      keeper,
      logger,
      load: () => loadKeys({ custody, link, witness }),
      underLock: (work) => underFreeLock(link, identity, keeper, work),
      custody,
    });
    const everyMs = options.checkHalvesEveryMs ?? CHECK_HALVES_EVERY_MS;
    // What was read at the start may say already that another instance is at work.
    if (role === 'server') await halves.start(everyMs, keeper.custodyReport);
    return { options, link, keeper, witness, identity, heartbeat, kept, halves };
  } catch (error) {
    await heartbeat.stop();
    throw asDegraded(error);
  }
}

/** @returns `false` where another operation on the whole database runs */
async function underFreeLock(
  link: RedisLink,
  identity: ProcessIdentity,
  keeper: SealKeeper,
  work: () => Promise<void>,
): Promise<boolean> {
  let lock: MigrationLock;
  try {
    lock = await MigrationLock.acquire(link, identity, { waitMs: 0 });
  } catch (error) {
    if (error instanceof StoreError && error.code === 'DATABASE_LOCKED') return false;
    throw error;
  }
  try {
    await keeper.refresh('halves are changed');
    await work();
    return true;
  } finally {
    await lock.release();
  }
}

async function connected(connecting: Promise<RedisLink>): Promise<RedisLink> {
  try {
    return await connecting;
  } catch (error) {
    throw asDegraded(error);
  }
}

/** Degraded until proven healthy: an error that no row of the table names is degraded with that cause. */
function asDegraded(error: unknown): unknown {
  if (error instanceof DegradedError || error instanceof RangeError) return error;
  const cause = messageOf(error);
  const isRedis =
    error instanceof StoreError &&
    (error.code === 'REDIS_UNAVAILABLE' || error.code === 'REDIS_REFUSED');
  return new DegradedError(isRedis ? 'redisUnusable' : 'startFailed', { cause }, { cause: error });
}
