/**
 * The database: opened through the startup table, served through its collections, changed as a whole only under the lock.
 *
 * It has over 400 lines: whatever a caller can do with a database is a method here, and most only hand on.
 */
import type { KeyId } from '@vault/crypto';
import { Collection } from './collections/collection.js';
import type { DatabaseState } from './state/database-state.js';
import { OperationRefusedError, StoreError } from './errors.js';
import type { RecordUnreadableError } from './errors.js';
import { exportRecords } from './collections/export-records.js';
import type { ExportedRecord } from './collections/export-records.js';
import type { MissingHalf } from './state/halves-watch.js';
import { checkImportable, rollImportForward } from './import/import.js';
import type { ImportReport } from './import/import.js';
import { ImportPreview } from './import/import-preview.js';
import { ImportSpool } from './import/import-spool.js';
import { EncryptionCount, keyUseOf } from './state/key-use.js';
import type { KeyUse } from './state/key-use.js';
import { loadKeys } from './state/load-keys.js';
import { MigrationLock } from './state/lock.js';
import type { DeletionOptions, DeletionReport } from './engine/key-removal.js';
import { retryKeptFiles } from './engine/scrub.js';
import { makeContext } from './engine/migration-context.js';
import type { MigrationContext } from './engine/migration-context.js';
import { DELETION_GRACE_MS } from './open-options.js';
import type { OpenOptions, Progress } from './open-options.js';
import { listProcesses } from './state/processes.js';
import { confirmDecryption, setPin } from './startup/pin.js';
import { openParts } from './startup/open-parts.js';
import type { DatabaseParts } from './startup/open-parts.js';
import { failedStatus, statusOf } from './status.js';
import type { DatabaseStatus, OperationStatus } from './status.js';
import { isRewriting, OperationDriver, rewritingRefusal } from './engine/operation-driver.js';
import type { OperationFailure } from './engine/operation-driver.js';
import { deleteInactiveKeys, rotateKey } from './engine/rotation.js';
import type { RotationOptions, RotationReport } from './engine/rotation.js';
import { SILENT_LOGGER } from './store-logger.js';
import { repairIndexes, verifyDatabase } from './audit/verify.js';
import type { RepairReport, VerifyReport } from './audit/verify.js';

/** How soon a process that is not asked for anything notices what another one did to the seal. */
const WATCH_EVERY_MS = 1000;
/** How soon the end of what another process does is noticed by who waits for it. */
const SETTLE_POLL_MS = 50;
/** An operation on the whole database does not wait for another one. */
const OPERATION_LOCK_WAIT_MS = 1000;
/** A backup that was kept is looked at again after pauses that grow: Redis writes its files anew for it. */
const RETRY_FIRST_MS = 60_000;
const RETRY_MAX_MS = 300_000;

export class CredentialDatabase {
  readonly #parts: DatabaseParts;
  readonly #collections: ReadonlyMap<string, Collection>;
  readonly #encryptions: EncryptionCount;
  readonly #driver: OperationDriver;
  readonly #timer: NodeJS.Timeout;
  #watching: Promise<void> | undefined;
  #isClosed = false;
  /** Operations of callers that have the lock, or wait for it. */
  #operations = 0;
  /** The start has just looked. */
  #retryAtMs = Date.now() + RETRY_FIRST_MS;
  #retrying: Promise<void> | undefined;
  #retryPauseMs = RETRY_FIRST_MS;

  private constructor(parts: DatabaseParts) {
    this.#parts = parts;
    const { options, link, keeper } = parts;
    const logger = options.logger ?? SILENT_LOGGER;
    this.#collections = new Map(
      Object.entries(options.collections).map(([name, definition]) => [
        name,
        new Collection(link, name, definition, keeper, logger),
      ]),
    );
    this.#encryptions = new EncryptionCount(link, keeper);
    this.#driver = new OperationDriver({
      keeper,
      logger,
      lock: () => MigrationLock.acquire(link, parts.identity, { waitMs: 0 }),
      context: (lock, onStep) => this.#context(lock, onStep),
      onStep: options.onStep,
    });
    this.#timer = setInterval(() => void this.#watch(), WATCH_EVERY_MS).unref();
    void this.#watch();
  }

  /**
   * Opens a database; role `server` first brings it into the state that `encrypt` asks for.
   * @throws {DegradedError} when it may not be served: nothing was opened
   * @throws RangeError for definitions or options that contradict themselves
   */
  static async open(options: OpenOptions): Promise<CredentialDatabase> {
    return new CredentialDatabase(await openParts(options));
  }

  /** Names of the collections. */
  get collections(): readonly string[] {
    return [...this.#collections.keys()];
  }

  /** @throws RangeError when the configuration has no such collection */
  collection(name: string): Collection {
    const collection = this.#collections.get(name);
    if (collection === undefined) throw new RangeError(`there is no collection "${name}"`);
    return collection;
  }

  /** Random, for the life of the database. */
  get databaseId(): string {
    return this.#parts.keeper.content.databaseId;
  }

  /** One round trip. @throws {RedisUnavailableError | RedisRefusedError} while Redis does not answer */
  async checkRedis(): Promise<void> {
    const { link } = this.#parts;
    await link.get(link.names.seal);
  }

  /** `encrypted`, `rekeying` or `plaintext` while it is served. */
  get state(): DatabaseState {
    return this.#parts.keeper.current().state;
  }

  /** Whether what is written now is encrypted. */
  get isEncrypted(): boolean {
    return this.#parts.keeper.current().written.key !== undefined;
  }

  /** Whether {@link markBootstrapped} was ever called, by any process. */
  get isBootstrapped(): boolean {
    return this.#parts.keeper.content.bootstrapped;
  }

  /** Why the rewriting that is under way does not come to its end, as far as this process tried. */
  get operationFailed(): NonNullable<OperationStatus['failed']> | undefined {
    return failedStatus(this.#driver.failure);
  }

  /** Takes up a rewriting that failed, now. @returns why it failed again */
  async retryOperation(): Promise<OperationFailure | undefined> {
    this.#parts.keeper.current();
    this.#driver.hasten();
    await this.#watch();
    return this.#driver.failure;
  }

  /**
   * Waits until nothing of what this database asked for at its start is under way any more, in whatever process.
   * @returns why it is not so, where the last attempt of this process failed: it is made again by itself
   */
  async settled(): Promise<OperationFailure | undefined> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- it is looked again until it has ended
      await this.#watch();
      // What is refused from now on is told here, too.
      this.#parts.keeper.current();
      if (!isRewriting(this.#parts.keeper.content)) return undefined;
      if (this.#driver.failure !== undefined) return this.#driver.failure;
      // oxlint-disable-next-line no-await-in-loop
      await new Promise((resolve) => {
        setTimeout(resolve, SETTLE_POLL_MS);
      });
    }
  }

  /** Keeps in the seal that the first administrator was made. */
  async markBootstrapped(): Promise<void> {
    if (this.isBootstrapped) return;
    await this.#withLock(async (lock) => this.#parts.keeper.change(lock, { bootstrapped: true }));
  }

  /**
   * Pins the database, so that to decrypt it takes a confirmation beside the setting, or takes the pin away.
   * @throws {OperationRefusedError} when it is not encrypted, or something else is under way
   */
  async pin(isPinned = true): Promise<void> {
    await this.#withLock(async (lock) => setPin(this.#parts.keeper, lock, isPinned));
  }

  /**
   * Confirms that this pinned database may be decrypted, once, by the next start in this data folder
   * whose setting says so. Any change of the state before that takes it back.
   * @throws {OperationRefusedError} when it is not pinned, or something is under way
   */
  async confirmDecryption(): Promise<void> {
    const { keeper, options, link } = this.#parts;
    await keeper.watch();
    await confirmDecryption(options.dataDir, link.names.prefix, keeper);
  }

  /** All that an operator wants to know. */
  async status(): Promise<DatabaseStatus> {
    const { options, link, keeper, witness, identity, kept } = this.#parts;
    await keeper.watch();
    await this.#encryptions.add();
    const counts = await Promise.all(
      [...this.#collections].map(async ([name, collection]) => [name, await collection.count()]),
    );
    return statusOf({
      link,
      content: keeper.content,
      report: await loadKeys({ custody: options.custody, link, witness }),
      places: await options.custody.inventory(),
      keysInUse: keeper.keysInUse().map(({ id }) => id),
      deletionGraceMs: options.deletionGraceMs ?? DELETION_GRACE_MS,
      encrypt: options.encrypt ?? null,
      dataDir: options.dataDir,
      host: identity.host,
      kept,
      operationFailure: this.#driver.failure,
      isOwnRedis: options.ownRedis ?? false,
      collections: Object.fromEntries(counts) as Record<string, number>,
      processes: await listProcesses(link, keeper.ring),
    });
  }

  /** Age and use of the active key; `undefined` where the database is plaintext. Cheap, unlike {@link status}. */
  async keyUse(): Promise<KeyUse | undefined> {
    const { link, keeper } = this.#parts;
    await keeper.watch();
    await this.#encryptions.add();
    return keyUseOf(link, keeper.content, keeper.custodyReport);
  }

  /**
   * Looks at every record and every index entry, both ways; changes nothing.
   * @param options.onProgress called after each batch; default: that of the open options
   */
  async verify(
    options: { readonly onProgress?: (progress: Progress) => void } = {},
  ): Promise<VerifyReport> {
    // Those that were not reached yet are filed under the definitions of before: nothing is wrong with them.
    if (this.#parts.keeper.content.previousDefinitions !== null) throw rewritingRefusal('verify');
    return verifyDatabase(this.#verifyParts(options.onProgress));
  }

  /** Mends what {@link verify} finds in indexes and id lists. */
  async repairIndexes(): Promise<RepairReport> {
    if (isRewriting(this.#parts.keeper.content)) throw rewritingRefusal('repair the indexes');
    return repairIndexes(this.#verifyParts());
  }

  /**
   * Makes a new key active and files every record anew under it, while the database serves.
   * @throws {OperationRefusedError} when the conditions are not met; see `rotation.ts`
   */
  async rotateKey(options: RotationOptions = {}): Promise<RotationReport> {
    // No waiting: a rotation right behind another is hardly what its caller wants.
    return this.#withLock(async (lock) => rotateKey(this.#context(lock), options), 0);
  }

  /** Keys in use of which a half is not in its place any more, as the last look found them. */
  get missingHalves(): readonly MissingHalf[] {
    return this.#parts.halves.missing;
  }

  /** Reads the halves again, as a server does each minute by itself; what is wrong is logged. */
  checkHalves(): Promise<void> {
    return this.#parts.halves.look();
  }

  /**
   * Puts halves that were lost back in their places, from the keys that this process still has.
   * @returns the keys that were not whole before
   * @throws {OperationRefusedError} when a half cannot be written, or another operation runs
   */
  async putBackKeys(): Promise<readonly KeyId[]> {
    return this.#withLock(async () => this.#parts.halves.putBack());
  }

  /** Keys that no record needs any more, and whose lines are still kept. */
  get inactiveKeyIds(): readonly KeyId[] {
    return this.#parts.keeper.content.inactiveKeyIds;
  }

  /**
   * Removes the lines of inactive keys from both halves, once nothing needs them, provably. In a place
   * that others may share they are condemned first; a call after the grace removes them.
   * @throws {OperationRefusedError} naming what still needs a key
   */
  async deleteInactiveKeys(options: DeletionOptions = {}): Promise<DeletionReport> {
    return this.#withLock(async (lock) => deleteInactiveKeys(this.#context(lock), options));
  }

  /**
   * Begins an import: add records to the spool, then give it to {@link import}, or abort it. Nothing
   * is in the database before that.
   */
  async openImport(): Promise<ImportSpool> {
    const { options, keeper } = this.#parts;
    return ImportSpool.create(options.dataDir, options.collections, keeper.current().written.key);
  }

  /** Takes the records of an import, and says what it would do; nothing is written. */
  previewImport(): ImportPreview {
    this.#parts.keeper.current();
    return new ImportPreview(this.#parts.options.collections, (name) => this.collection(name));
  }

  /**
   * Writes all records of a spool, by id: what is there is replaced, and importing twice changes
   * nothing. A crash in the middle is rolled forward by the next start.
   * @throws {OperationRefusedError} while another operation on the whole database runs, or when the key
   *   was rotated since the spool was begun: nothing was changed
   */
  async import(spool: ImportSpool): Promise<ImportReport> {
    await spool.finish();
    const { options, keeper, identity } = this.#parts;
    const importing = { spool: spool.name, host: identity.host };
    return this.#withLock(async (lock) => {
      checkImportable(keeper.content, spool);
      await keeper.change(lock, { importing });
      return rollImportForward(this.#context(lock), options.collections);
    }).finally(() => spool.release());
  }

  /**
   * All records, by collection and id, in bounded memory.
   * @param collections default: all
   * @throws {RecordUnreadableError} at the first record that cannot be read: an export that leaves
   *   something out without a word is worse than none. `onUnreadable` takes them instead.
   */
  exportRecords(
    collections: readonly string[] = this.collections,
    onUnreadable?: (error: RecordUnreadableError) => void,
  ): AsyncGenerator<ExportedRecord> {
    const named = collections.map((name) => this.collection(name));
    return exportRecords(named, onUnreadable);
  }

  /** Ends this process' use of the database; later calls throw `DATABASE_CLOSED`. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#driver.stop();
    this.#parts.halves.stop();
    const { keeper, heartbeat, link } = this.#parts;
    await this.#encryptions.stop();
    keeper.refuse(new StoreError('DATABASE_CLOSED', 'the database was closed'));
    // It ends at its next step, and gives the lock back.
    await this.#watching;
    await heartbeat.stop();
    await link.close();
  }

  #verifyParts(onProgress = this.#parts.options.onProgress): Parameters<typeof verifyDatabase>[0] {
    const { link, keeper } = this.#parts;
    return {
      link,
      keeper,
      progress: (phase, done, total) => onProgress?.({ phase, done, total }),
    };
  }

  /** What somebody asks for is not refused because of what this process does by itself. */
  async #withLock<T>(
    use: (lock: MigrationLock) => Promise<T>,
    waitMs = OPERATION_LOCK_WAIT_MS,
  ): Promise<T> {
    this.#operations += 1;
    try {
      await this.#retrying?.catch(() => undefined);
      return await this.#locked(use, waitMs);
    } finally {
      this.#operations -= 1;
    }
  }

  async #locked<T>(use: (lock: MigrationLock) => Promise<T>, waitMs: number): Promise<T> {
    const { link, identity } = this.#parts;
    this.#parts.keeper.current();
    let lock: MigrationLock;
    try {
      lock = await MigrationLock.acquire(link, identity, { waitMs });
    } catch (error) {
      if (error instanceof StoreError && error.code === 'DATABASE_LOCKED') {
        throw new OperationRefusedError(
          `another operation on the whole database runs: ${error.message}`,
        );
      }
      throw error;
    }
    try {
      await this.#parts.keeper.refresh('an operation on the whole database begins');
      return await use(lock);
    } finally {
      await lock.release();
    }
  }

  #context(lock: MigrationLock, onStep = this.#parts.options.onStep): MigrationContext {
    const { options, ...parts } = this.#parts;
    const logger = options.logger ?? SILENT_LOGGER;
    return makeContext({
      ...parts,
      options: { ...options, ...(onStep !== undefined && { onStep }) },
      logger,
      lock,
    });
  }

  /** Follows other processes, and goes on with what is under way. */
  #watch(): Promise<void> {
    this.#watching ??= this.#look().finally(() => {
      this.#watching = undefined;
    });
    return this.#watching;
  }

  async #look(): Promise<void> {
    try {
      await this.#parts.keeper.watch();
      // A Redis that came back older forgot the lock of an operation that still runs here: it says so itself.
      if (this.#parts.options.role === 'tool' || this.#operations > 0) return;
      await this.#driver.run();
      await this.#retryKept();
    } catch {
      // Redis is away; a database that may not be served says so itself.
    }
  }

  /** A backup that this process kept because Redis proved too little. */
  async #retryKept(): Promise<void> {
    const { keeper, kept } = this.#parts;
    const { state, files } = keeper.content;
    if (kept.files === undefined || this.#isClosed || Date.now() < this.#retryAtMs) return;
    const key = keeper.current().signingKey;
    if (state !== 'encrypted' || files.length === 0 || key === undefined) return;
    this.#retryAtMs = Date.now() + this.#retryPauseMs;
    this.#retryPauseMs = Math.min(2 * this.#retryPauseMs, RETRY_MAX_MS);
    const retry = this.#locked(async (lock) => retryKeptFiles(this.#context(lock), key), 0);
    this.#retrying = retry.finally(() => (this.#retrying = undefined));
    await this.#retrying;
  }
}
