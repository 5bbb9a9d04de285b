/**
 * The start of a database: look, decide by the table, act, and look again, until it may be served.
 * Everything that changes something is done under the migration lock, after looking again there.
 */
import { randomUUID } from 'node:crypto';
import type { VaultKey } from '@vault/crypto';
import { removeFiles } from '@vault/crypto/files';
import { abandonedSpools } from '../files/abandoned-spools.js';
import { canonicalDefinitions } from '../records/collection-definition.js';
import { DegradedError, StateStaleError, StoreError } from '../errors.js';
import { rollImportForward } from '../import/import.js';
import { canonicalFields } from '../records/field-definitions.js';
import { MigrationLock } from '../state/lock.js';
import { decryptDatabase, encryptDatabase, retireKeys } from '../engine/encrypt-decrypt.js';
import { finishScrubbing, retryKeptFiles } from '../engine/scrub.js';
import { makeContext } from '../engine/migration-context.js';
import type { KeptBecause, MigrationContext } from '../engine/migration-context.js';
import { MIGRATIONS } from './acts.js';
import type { Act } from './acts.js';
import { changeFields } from '../engine/change-fields.js';
import { countRecords } from '../partitions/record-stream.js';
import { beginReindex, finishRewriting } from '../engine/refile.js';
import { areInSamePartitions, filedCollections } from '../partitions/sealed-definitions.js';
import type { OpenOptions } from '../open-options.js';
import type { ProcessIdentity } from '../state/process-identity.js';
import type { RedisLink } from '../redis/redis-link.js';
import type { SealContent } from '../state/seal.js';
import { newSeal } from '../state/seal.js';
import type { SealKeeper } from '../state/seal-keeper.js';
import type { StoreLogger } from '../store-logger.js';
import { sealOfWitness } from '../state/witness.js';
import type { Witness } from '../state/witness.js';
import { migrationFailed, namingBackup } from './failed-migration.js';
import { keyToEncrypt, ringKey } from './key-to-encrypt.js';
import { observe } from './observe.js';
import { dropConfirmation } from './decrypt-confirmation.js';
import { decryptedElsewhere } from './decrypted-elsewhere.js';
import { readIntent } from './encryption-intent.js';
import type { Intent } from './encryption-intent.js';
import { OppositeCheck } from './opposite-setting.js';
import type { Observation } from './observe.js';
import { warnOfStart } from './start-warnings.js';
import { refusedStart } from './refused-start.js';
import { decide, fitOf } from './startup-table.js';
import type { StartAction } from './startup-table.js';

export interface StartParts {
  readonly options: OpenOptions;
  readonly link: RedisLink;
  readonly keeper: SealKeeper;
  readonly witness: Witness;
  readonly identity: ProcessIdentity;
  readonly logger: StoreLogger;
  /** Tells the other processes what was decided. */
  readonly announce: (isEncrypting: boolean) => Promise<void>;
}

/** More rounds than any chain of migrations takes; beyond, something undoes what we do. */
const ROUNDS_MAX = 12;

export class DatabaseStart {
  readonly #parts: StartParts;
  #lock: MigrationLock | undefined;
  readonly kept: KeptBecause = { keys: undefined, files: undefined };
  /** What is tried once a start, and served without. */
  readonly #tried = new Set<Act>();
  #intent: Intent;
  readonly #opposite: OppositeCheck;

  constructor(parts: StartParts) {
    this.#parts = parts;
    this.#opposite = new OppositeCheck(parts.logger);
    this.#intent = { isEncrypting: parts.options.encrypt === true, because: 'setting' };
  }

  /** Whether this process keeps the database encrypted, as decided last. */
  get isEncrypting(): boolean {
    return this.#intent.isEncrypting;
  }

  /** @throws {DegradedError} when the database may not be served */
  async run(): Promise<void> {
    try {
      for (let round = 0; round < ROUNDS_MAX; round++) {
        // oxlint-disable-next-line no-await-in-loop -- each round looks at what the one before did
        if (await this.#round()) return await this.#tidy();
      }
      throw new DegradedError('startFailed', {
        cause: 'the state of the database does not settle',
      });
    } finally {
      await this.#lock?.release();
    }
  }

  /** @returns whether the database may be served; `false`, to look again, too where another process changed the state meanwhile */
  async #round(): Promise<boolean> {
    try {
      return await this.#lookAndAct();
    } catch (error) {
      if (error instanceof StateStaleError) return false;
      if (!(await this.#isLockLost())) throw error;
      return false;
    }
  }

  /** Whether this process slept for longer than its lock lives: another one may go on where it was. */
  async #isLockLost(): Promise<boolean> {
    const lock = this.#lock;
    if (lock === undefined || (await lock.isHeld())) return false;
    await lock.release();
    this.#lock = undefined;
    return true;
  }

  async #lookAndAct(): Promise<boolean> {
    const { keeper, options, link, identity, announce } = this.#parts;
    const seen = await this.#look();
    this.#intent = await readIntent(seen, options, link.names.prefix, keeper.ring);
    const act = this.#needed(seen, this.#decide(seen));
    if (options.role === 'tool') {
      this.#refuseDecryptedElsewhere(seen);
      return this.#openAsTool(seen);
    }
    // Said first, then looked: of two that start at once, one at least sees the other.
    await announce(this.isEncrypting);
    // Of a lost seal the witness knows it.
    const activeKeyId = (seen.seal?.content ?? seen.witness)?.keyId ?? null;
    const parts = { link, ring: keeper.ring, self: identity };
    await this.#opposite.run(parts, activeKeyId, this.isEncrypting);
    this.#refuseDecryptedElsewhere(seen);
    if (act === undefined) {
      if (seen.seal !== undefined) keeper.adopt(seen.seal);
      if ((await keeper.strayFences()).length > 0) return this.#underLock(async () => this.#heal());
      if (this.#lock !== undefined || (await this.#spools()).length === 0) return true;
      return !(await this.#tryLock());
    }
    // What was decided without the lock is decided again under it: another process may have done it.
    if (this.#lock === undefined) return this.#underLock(() => Promise.resolve());
    await this.#act(act, seen);
    return false;
  }

  #refuseDecryptedElsewhere({ seal, witness }: Observation): void {
    const refusal = decryptedElsewhere(seal?.content, witness, this.#parts.options.encrypt);
    if (refusal !== undefined) throw refusal;
  }

  async #look(): Promise<Observation> {
    const { keeper } = this.#parts;
    let seen = await this.#observe();
    if (seen.neededKeyIds.some((id) => keeper.ring.byId(id) === undefined)) {
      // Another process may have made the key since the halves were read.
      await keeper.reloadKeys();
      seen = await this.#observe();
    }
    if (seen.seal !== undefined && seen.kind !== 'resealable') {
      const { keyId } = seen.seal.content;
      if (keyId === null || keeper.ring.byId(keyId) !== undefined) keeper.adopt(seen.seal);
    }
    return seen;
  }

  async #observe(): Promise<Observation> {
    const { link, witness, keeper, options } = this.#parts;
    return observe({ link, witness, ring: keeper.ring, definitions: options.collections });
  }

  #decide(seen: Observation): StartAction {
    const { keeper, options } = this.#parts;
    const fit = fitOf(keeper.custodyReport, seen.neededKeyIds);
    const decision = decide(this.isEncrypting, fit, seen.kind);
    if (decision.action !== 'degrade') return decision.action;
    const refused = refusedStart(decision.reason, seen, keeper.custodyReport);
    // Of what this start saw before: where Redis was rolled back since, the seal names no backup any more.
    throw namingBackup(refused, this.#content() ?? seen.seal?.content, options.dataDir);
  }

  /** Once, when everything is right. */
  warn(): void {
    const { keeper, options, logger } = this.#parts;
    if (options.role === 'tool') return;
    warnOfStart(logger, this.#intent, keeper.custodyReport, this.kept.keys);
  }

  /** What is to be done before serving: the decision, or something that comes first or after. */
  #needed(seen: Observation, decided: StartAction): Act | undefined {
    if (decided === 'reseal') return 'reseal';
    const content = seen.seal?.content;
    if (content === undefined) return 'create';
    if (content.importing !== null) return 'import';
    const { collections } = this.#parts.options;
    const { previousDefinitions } = content;
    const target = canonicalDefinitions(collections);
    const isOther = content.definitions !== target;
    const hasOtherFields = content.fields !== canonicalFields(collections);
    if (previousDefinitions !== null && isOther) return 'reindex';
    if (decided === 'finish') return content.state === 'scrubbing' ? 'scrub' : 'rewrite';
    if (previousDefinitions !== null) {
      // Records move between partitions, where no single script sees both: that is done before serving.
      const isServed = decided === 'serve' && areInSamePartitions(previousDefinitions, target);
      return isServed && !hasOtherFields ? undefined : 'rewrite';
    }
    // Nobody signed how plaintext records are filed: what is sealed is what the configuration says.
    if (decided === 'encrypt' && content.keyId === null && isOther) return 'reindex';
    if (decided !== 'serve') return decided;
    // Before the indexes: a start that is refused for a field has not filed everything anew in vain.
    if (hasOtherFields) return 'fields';
    if (isOther) return 'reindex';
    return this.#tidyingUp(content);
  }

  /** What is tried once a start, and again by a later one. */
  #tidyingUp({ state, inactiveKeyIds, files }: SealContent): Act | undefined {
    const acts: (Act | false)[] = [
      state === 'plaintext' && inactiveKeyIds.length > 0 && 'retire',
      state === 'encrypted' && files.length > 0 && 'kept-files',
    ];
    return acts.find((act): act is Act => act !== false && !this.#tried.has(act));
  }

  async #act(act: Act, seen: Observation): Promise<void> {
    const context = this.#context();
    const { dataDir } = context;
    this.#tried.add(act);
    try {
      await this.#acts[act](context, seen);
    } catch (error) {
      // Redis failed over meanwhile, or another process changed something: look again.
      if (error instanceof StateStaleError) {
        this.#tried.delete(act);
        throw error;
      }
      const isLocked = error instanceof StoreError && error.code === 'DATABASE_LOCKED';
      if (error instanceof DegradedError) throw namingBackup(error, this.#content(), dataDir);
      if (isLocked || !MIGRATIONS.has(act)) throw error;
      throw migrationFailed(error, this.#content(), dataDir);
    }
  }

  #content(): SealContent | undefined {
    try {
      return this.#parts.keeper.content;
    } catch {
      return undefined; // there is no seal yet
    }
  }

  readonly #acts: Readonly<
    Record<Act, (context: MigrationContext, seen: Observation) => Promise<void>>
  > = {
    create: (context, seen) => this.#create(context, seen),
    reseal: (context, seen) => this.#reseal(context, seen),
    import: async (context) => {
      await rollImportForward(context, this.#parts.options.collections);
    },
    reindex: (context) =>
      beginReindex(context, canonicalDefinitions(this.#parts.options.collections)),
    rewrite: async (context) => {
      await finishRewriting(context);
    },
    scrub: (context) => finishScrubbing(context, this.#activeKey()),
    'kept-files': (context) => retryKeptFiles(context, this.#activeKey()),
    encrypt: async (context) => {
      const { collections, ownKeyId } = this.#parts.options;
      await encryptDatabase(context, await keyToEncrypt(context, ownKeyId), collections);
    },
    decrypt: (context) => decryptDatabase(context, this.#activeKey()),
    fields: (context) => changeFields(context, this.#parts.options.collections),
    retire: async (context) => {
      this.kept.keys = (await retireKeys(context)).kept;
    },
  };

  /** The first seal of a new database. */
  async #create({ keeper, lock, link }: MigrationContext, seen: Observation): Promise<void> {
    const { witness, sealBytes } = seen;
    const databaseId = witness?.epoch === 0 ? witness.databaseId : randomUUID();
    const { collections } = this.#parts.options;
    const records = await countRecords(filedCollections(link, collections));
    const fields = records === 0 ? canonicalFields(collections) : null;
    await keeper.create(lock, { ...this.#newSeal(databaseId), fields }, sealBytes);
  }

  #newSeal(databaseId: string): SealContent {
    const { collections, encrypt } = this.#parts.options;
    return newSeal(databaseId, canonicalDefinitions(collections), encrypt === true);
  }

  /** Witness and every fence agree on an encrypted database: the lost seal is made again. */
  async #reseal({ keeper, lock, logger }: MigrationContext, seen: Observation): Promise<void> {
    const { witness, cause, sealBytes } = seen;
    if (witness === undefined) throw new TypeError('nothing to reseal from');
    const seal = sealOfWitness(witness, this.#newSeal(witness.databaseId));
    await keeper.create(lock, seal, sealBytes);
    logger.error('The seal was not right and was made again from the witness', { cause });
  }

  #activeKey(): VaultKey {
    const { keyId } = this.#parts.keeper.content;
    if (keyId === null) throw new TypeError('no key is active');
    return ringKey(this.#parts.keeper, keyId);
  }

  async #heal(): Promise<void> {
    const partitions = await this.#parts.keeper.raiseFences();
    if (partitions.length > 0) {
      this.#parts.logger.warn('Partitions stood under another fence; it was set right', {
        partitions,
      });
    }
  }

  async #spools(): Promise<string[]> {
    const { options, keeper } = this.#parts;
    return abandonedSpools(options.dataDir, keeper.content.importing?.spool);
  }

  async #tidy(): Promise<void> {
    const { role, dataDir } = this.#parts.options;
    // It was used up, or this start made no use of it: it is not there for one in a year.
    if (role !== 'tool') await dropConfirmation(dataDir);
    await this.#removeSpools();
  }

  /** While a living process has the lock they stay: a later start removes them. */
  async #removeSpools(): Promise<void> {
    if (this.#lock === undefined || !(await this.#lock.isHeld())) return;
    await removeFiles(this.#parts.options.dataDir, await this.#spools());
  }

  /** @returns `false` when another process has it */
  async #tryLock(): Promise<boolean> {
    const { link, identity } = this.#parts;
    try {
      this.#lock = await MigrationLock.acquire(link, identity, { waitMs: 0 });
      return true;
    } catch (error) {
      if (error instanceof StoreError && error.code === 'DATABASE_LOCKED') return false;
      throw error;
    }
  }

  /** Takes the lock where it is not held, and runs. @returns `false`: the caller looks again */
  async #underLock(run: () => Promise<void>): Promise<false> {
    const { link, identity, logger } = this.#parts;
    this.#lock ??= await MigrationLock.acquire(link, identity, {
      onWait: (holder) => {
        logger.info('Waiting for another process that changes the database', {
          host: holder?.host,
          pid: holder?.pid,
        });
      },
    });
    // Whoever held the lock before may have made a key.
    await this.#parts.keeper.reloadKeys();
    await run();
    return false;
  }

  /** A tool takes the database as it is, and changes nothing. */
  #openAsTool(seen: Observation): true {
    const { keeper, options } = this.#parts;
    if (seen.seal === undefined) {
      throw new DegradedError('startFailed', {
        cause: seen.cause ?? 'there is no database yet',
        advice: 'start the server first',
      });
    }
    const { definitions, fields, migration } = seen.seal.content;
    // An encryption takes over no fields that anybody could have written; the server finds them at its end.
    const isUntold = fields === null && migration !== null;
    const isSame =
      definitions === canonicalDefinitions(options.collections) &&
      (isUntold || fields === canonicalFields(options.collections));
    if (!isSame) {
      throw new DegradedError('startFailed', {
        cause: 'the collections of the configuration are not those of the database',
        advice:
          'start the server with this configuration first; where it is degraded, its log says what does not fit',
      });
    }
    keeper.adopt(seen.seal);
    return true;
  }

  #context(): MigrationContext {
    const { options, link, keeper, logger, identity } = this.#parts;
    const lock = this.#lock;
    if (lock === undefined) throw new TypeError('the lock is not held');
    return makeContext({ options, link, keeper, logger, identity, lock, kept: this.kept });
  }
}
