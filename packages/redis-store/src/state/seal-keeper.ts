/**
 * Keeper of the seal in one process: the view that collections work from, and the only way in which
 * the seal changes: witness before, compare-and-set together with the lock, safe on disks and replicas, witness after,
 * fences. So whoever meets a fence knows that what it stands for cannot be lost.
 *
 * It has over 400 lines: all that changes this one record, in the order in which that is safe, is in one file.
 */
import type { CustodyReport, KeyCustody, KeyId, KeyRing, VaultKey } from '@vault/crypto';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import type { DatabaseView, ViewSource } from './database-state.js';
import { viewOf } from './database-view.js';
import { ACCEPT_ADVICE, DegradedError, StateStaleError, StoreError } from '../errors.js';
import { fenceBytes } from './fence.js';
import { Fences, SEAL_CHANGED } from './fences.js';
import { Floor } from './floor.js';
import { loadKeys } from './load-keys.js';
import { MigrationLock } from './lock.js';
import { keysOfSeal, keysOfWitness, withHeld } from './known-keys.js';
import type { Partition } from '../partitions/partition.js';
import { beliefAfter, beliefOf } from './plaintext-belief.js';
import type { ProcessIdentity } from './process-identity.js';
import { otherType } from '../redis/other-type.js';
import type { RedisLink } from '../redis/redis-link.js';
import { isAuthenticSeal, parseSeal, sealBytes } from './seal.js';
import type { ReadSeal, SealContent } from './seal.js';
import {
  allPartitions,
  filedCollections,
  parseCanonicalDefinitions,
} from '../partitions/sealed-definitions.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';
import type { StoreLogger } from '../store-logger.js';
import { witnessObjection } from './witness.js';
import type { Witness, WitnessContent, WitnessedState } from './witness.js';

export interface SealKeeperOptions {
  readonly link: RedisLink;
  readonly witness: Witness;
  readonly custody: KeyCustody;
  readonly identity: ProcessIdentity;
  readonly definitions: CollectionDefinitions;
  readonly logger: StoreLogger;
  /** A tool raises the floor for its own changes alone: it has not looked at what another process made. Default `server`. */
  readonly role?: 'server' | 'tool';
}

/** How long a process that met a foreign fence waits for whoever is changing the state, and waits for Redis. */
const HEAL_ATTEMPTS = 100;
const HEAL_PAUSE_MS = 100;
const SEAL_GONE = 'the seal is gone: Redis was emptied or replaced';

export class SealKeeper implements ViewSource {
  readonly #options: SealKeeperOptions;
  #report: CustodyReport;
  #seal: ReadSeal | undefined;
  #view: DatabaseView | undefined;
  #reloading: Promise<DatabaseView> | undefined;
  #refusal: StoreError | undefined;
  #changing: Promise<void> = Promise.resolve();
  readonly #fences = new Fences({
    partitions: () => this.#fenced(),
    fenceOf: (partition) => this.fenceOf(partition),
    isSealOurs: () => this.#isSealOurs(),
  });
  readonly #floor: Floor;
  /** Decides whether a state that another process brought about may be served here. */
  serves: (content: SealContent, known: WitnessContent) => DegradedError | undefined = () =>
    undefined;
  /** Told when keys were read anew. */
  onRing: (ring: KeyRing) => Promise<void> = () => Promise.resolve();
  /** Told once, when a database that was served can be served no more. */
  onDegraded: (error: DegradedError) => void = () => undefined;

  constructor(options: SealKeeperOptions, report: CustodyReport) {
    this.#options = options;
    this.#report = report;
    this.#floor = new Floor(options.link, options.witness);
  }

  get ring(): KeyRing {
    return this.#report.ring;
  }
  get custodyReport(): CustodyReport {
    return this.#report;
  }
  /** The seal that is in force. @throws TypeError before there is one */
  get content(): SealContent {
    if (this.#seal === undefined) throw new TypeError('there is no seal yet');
    return this.#seal.content;
  }

  /** Reads the halves again; a key in use stays in the ring, though its halves be gone. @returns what is there, without such keys */
  async reloadKeys(): Promise<CustodyReport> {
    const report = await loadKeys(this.#options);
    this.#report = { ...report, ring: withHeld(report.ring, this.keysInUse()) };
    await this.onRing(this.ring);
    return report;
  }

  /** The keys that records are under now; none in plaintext, nor before there is a seal. */
  keysInUse(): readonly VaultKey[] {
    const { signingKey, before } = this.#view ?? {};
    return [...new Set([signingKey, before?.key])].filter((key) => key !== undefined);
  }

  /** Keys that seal or witness name: a line of any other is somebody else's. */
  async namedKeyIds(): Promise<ReadonlySet<KeyId>> {
    const { prefix } = this.#options.link.names;
    const bySeal = keysOfSeal(this.#seal, prefix, this.ring);
    return new Set([...keysOfWitness(await this.#witnessed()), ...bySeal]);
  }

  /** What of the state in force counts for what is signed later: in plaintext, not what stands in Redis. */
  async belief(content = this.content): Promise<WitnessedState> {
    const { prefix } = this.#options.link.names;
    return beliefOf(content, await this.#witnessed(), prefix, this.ring);
  }

  /** At the end of a start: notes the state in force, once it is safe. */
  async noteState(): Promise<void> {
    await this.#floor.begin(await this.belief(), () => this.#isSealOurs());
  }

  /** @throws {StoreError} once the database is closed or degraded */
  current(): DatabaseView {
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#view === undefined) throw new TypeError('there is no seal yet');
    return this.#view;
  }

  /** Refuses everything from now on. */
  refuse(error: StoreError): void {
    this.#refusal ??= error;
  }

  /** Takes over a seal that was read and is believed. */
  adopt(seal: ReadSeal): void {
    this.#seal = seal;
    this.#view = viewOf(seal.content, this.ring);
  }

  /** Collections as the seal says that they are filed now; while a refiling runs, as they will be. */
  filed(): FiledCollection[] {
    return this.#collectionsOf(this.content.definitions);
  }

  /** Collections as records may still be filed, while a refiling runs. */
  filedBefore(): FiledCollection[] | undefined {
    const { previousDefinitions } = this.content;
    return previousDefinitions === null ? undefined : this.#collectionsOf(previousDefinitions);
  }

  /**
   * Changes the seal, as the holder of the lock, and raises every fence.
   * @param changes what differs; the epoch goes up by itself
   * @throws {StoreError} `DATABASE_LOCKED` when the lock is lost, `STATE_STALE` when the seal is not the one we know
   */
  async change(lock: MigrationLock, changes: Partial<SealContent>): Promise<void> {
    const { content } = this;
    const next = { ...content, ...changes, epoch: content.epoch + 1 };
    this.#changing = this.#put(lock, next, this.#seal?.bytes, content);
    await this.#changing;
  }

  /** Writes the first seal, or a new one where the one in Redis is lost. */
  async create(
    lock: MigrationLock,
    content: SealContent,
    bytesInRedis: string | undefined,
  ): Promise<void> {
    await this.#put(lock, content, bytesInRedis);
  }

  /** @param before the content that `next` is made of; `undefined`: it is ours as a whole */
  async #put(
    lock: MigrationLock,
    next: SealContent,
    expected: string | undefined,
    before?: SealContent,
  ): Promise<void> {
    const { link } = this.#options;
    lock.check();
    const key = next.keyId === null ? undefined : this.ring.byId(next.keyId);
    const bytes = sealBytes(next, link.names.prefix, key);
    // Before anything is written, the witness neither: nobody could ever open it again.
    const parsed = parseSeal(bytes);
    if (typeof parsed !== 'object') throw new TypeError('expected a seal that can be read back');
    const now = await (this.#seal === undefined ? this.#witnessed() : this.belief());
    const then = before === undefined || now === undefined ? next : beliefAfter(now, before, next);
    const durability = await this.#floor.prepare(now, then);
    const reply = await link.script(
      'vaultSwapSeal',
      [link.names.seal, link.names.lock],
      [lock.token, expected === undefined ? 0 : 1, expected ?? '', bytes],
    );
    switch (String(reply)) {
      case 'done':
        break;
      case 'unlocked':
        await this.#isSealOurs(); // a Redis that was rolled back forgot the lock too
        throw new StoreError('DATABASE_LOCKED', 'the migration lock was lost');
      case 'changed':
        await this.#isSealOurs();
        throw new StateStaleError(SEAL_CHANGED);
      default:
        throw new StoreError('STATE_STALE', otherType(String(reply).slice('TYPE '.length)));
    }
    await this.#floor.rise(then, durability);
    this.adopt(parsed);
    await this.raiseFences();
  }

  async #witnessed(): Promise<WitnessContent | undefined> {
    const read = await this.#options.witness.read();
    return typeof read === 'object' ? read : undefined;
  }

  /** Notes locally, where Redis has no say, that lines of keys are being removed. */
  async noteRemoval(keyIds: readonly KeyId[]): Promise<void> {
    await this.#options.witness.noteRemoval(await this.belief(), keyIds);
  }

  /** Keys whose removal a crash cut short. */
  async notedRemoval(): Promise<readonly KeyId[]> {
    return (await this.#witnessed())?.removing ?? [];
  }

  /**
   * Puts the fence of the view in every partition.
   * @returns names of the partitions where another stood
   * @throws {StateStaleError} when another process changed the seal meanwhile: its fences are the newer ones
   * @throws {DegradedError} when Redis was rolled back meanwhile: nothing is written under a fence of ours there
   */
  raiseFences(): Promise<string[]> {
    return this.#fences.raise();
  }

  /** Partitions whose fence is not that of the view. */
  strayFences(): Promise<string[]> {
    return this.#fences.stray();
  }

  /**
   * Looks whether Redis is as this process left it: where something does not add up, and before
   * something goes that Redis is to hold by now.
   * @throws {DegradedError} `foreignDatabase` when it was rolled back, emptied or replaced
   * @throws {StateStaleError} when another process changed the seal, or a part of Redis stands under another fence
   */
  async checkStands(): Promise<void> {
    if (!(await this.#isSealOurs())) throw new StateStaleError(SEAL_CHANGED);
    const stray = await this.strayFences();
    if (stray.length === 0) return;
    throw new StateStaleError(
      `another fence stands in the partitions ${stray.join(', ')}: that part of Redis was rolled back, or somebody wrote there`,
    );
  }

  /** The fence bytes of a partition in force now. */
  fenceOf(partition: Partition): string {
    if (this.#view === undefined) throw new TypeError('there is no seal yet');
    return fenceBytes(this.#view, this.#options.link.names.prefix, partition.name);
  }

  /** As {@link reload}, for the holder of the lock: nobody else changes anything now. */
  async refresh(reason: string): Promise<void> {
    this.current();
    const bytes = await this.#read();
    if (bytes !== this.#seal?.bytes) await this.#adoptChanged(bytes, reason);
    await this.raiseFences();
  }

  /**
   * Looks whether another process changed the seal, and takes it over; one `GET` where none did. A
   * pending key is looked for each time until it is there: the rotation waits for our proof.
   */
  async watch(): Promise<void> {
    await this.#changing.catch(() => undefined);
    this.current();
    const bytes = await this.#read();
    if (bytes !== this.#seal?.bytes) await this.reload(SEAL_CHANGED);
    await this.#floor.follow(
      () => this.belief(),
      () => this.#isSealOurs(),
    );
    const { pendingKeyId } = this.content;
    if (pendingKeyId !== null && this.ring.byId(pendingKeyId) === undefined)
      await this.reloadKeys();
  }

  reload(reason: string): Promise<DatabaseView> {
    this.#reloading ??= this.#reload(reason).finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async #reload(reason: string): Promise<DatabaseView> {
    // A change that this process makes itself raises the fences in a moment.
    await this.#changing.catch(() => undefined);
    this.current();
    for (let attempt = 0; attempt < HEAL_ATTEMPTS; attempt++) {
      // oxlint-disable no-await-in-loop -- another process is given time to end its change
      const bytes = await this.#read();
      if (bytes !== this.#seal?.bytes) return this.#adoptChanged(bytes, reason);
      const stray = await this.strayFences();
      if (stray.length === 0 || (await this.#heal(stray))) return this.current();
      await new Promise((resolve) => {
        setTimeout(resolve, HEAL_PAUSE_MS);
      });
      // oxlint-enable no-await-in-loop
    }
    throw new StateStaleError();
  }

  async #adoptChanged(bytes: string | undefined, reason: string): Promise<DatabaseView> {
    const { logger } = this.#options;
    const { seal, known } = await this.#believe(bytes);
    const { content } = seal;
    const refusal = this.serves(content, known);
    if (refusal !== undefined) throw this.#giveUp(refusal);
    if (this.#options.role !== 'tool') this.#floor.wait();
    this.adopt(seal);
    logger.info('The database changed state', {
      reason,
      state: content.state,
      epoch: content.epoch,
    });
    return this.current();
  }

  async stands(view: DatabaseView): Promise<boolean> {
    return (await this.#isSealOurs()) && this.#view === view;
  }

  /** @throws {DegradedError} when the one that stands there is none that may come after ours */
  async #isSealOurs(): Promise<boolean> {
    const bytes = await this.#read();
    if (bytes === this.#seal?.bytes) return true;
    await this.#believe(bytes);
    return false;
  }

  /**
   * A seal that is not the one we know, and what it was held against.
   * @throws {DegradedError} when it is none that may come after ours
   */
  async #believe(
    bytes: string | undefined,
  ): Promise<{ readonly seal: ReadSeal; readonly known: WitnessContent }> {
    const { link, witness } = this.#options;
    const parsed = bytes === undefined ? undefined : parseSeal(bytes);
    if (typeof parsed !== 'object') {
      throw this.#degrade(bytes === undefined ? SEAL_GONE : 'the seal is damaged');
    }
    const { content } = parsed;
    const needed = [content.keyId, content.previousKeyId].filter((id) => id !== null);
    if (needed.some((id) => this.ring.byId(id) === undefined)) await this.reloadKeys();
    if (content.keyId !== null && !isAuthenticSeal(parsed, link.names.prefix, this.ring)) {
      throw this.#degrade(`the seal is not one made under a key that we have (${content.keyId})`);
    }
    const read = await witness.read();
    // Where the file was lost meanwhile, what this process knows is the floor.
    const known: WitnessContent =
      typeof read === 'object' ? read : { ...this.content, v: 1, next: null };
    const objection = witnessObjection(known, content, link.names.prefix, this.ring);
    if (objection !== undefined) throw this.#degrade(objection);
    return { seal: parsed, known };
  }

  /**
   * An authentic seal whose fences stand otherwise: a change was cut short, or somebody wrote there.
   * @returns `false` where a living process holds the lock: it is changing the state
   */
  async #heal(stray: readonly string[]): Promise<boolean> {
    const { link, identity, logger } = this.#options;
    let lock: MigrationLock;
    try {
      lock = await MigrationLock.acquire(link, identity, { waitMs: 0 });
    } catch (error) {
      if (error instanceof StoreError && error.code === 'DATABASE_LOCKED') return false;
      throw error;
    }
    try {
      const bytes = await this.#read();
      if (bytes !== this.#seal?.bytes) return false;
      await this.raiseFences();
      logger.error('Partitions stood under a foreign fence; it was set right', {
        partitions: stray,
      });
      return true;
    } finally {
      await lock.release();
    }
  }

  async #read(): Promise<string | undefined> {
    const { link } = this.#options;
    return (await link.get(link.names.seal))?.toString();
  }
  #degrade(cause: string): DegradedError {
    return this.#giveUp(new DegradedError('foreignDatabase', { cause, advice: ACCEPT_ADVICE }));
  }
  #giveUp(error: DegradedError): DegradedError {
    const isFirst = this.#refusal === undefined;
    this.#refusal ??= error;
    if (isFirst) this.onDegraded(error);
    return error;
  }

  #fenced(): Partition[] {
    return allPartitions(this.filed(), this.filedBefore() ?? []);
  }
  #collectionsOf(canonical: string): FiledCollection[] {
    const { link, definitions } = this.#options;
    return filedCollections(link, parseCanonicalDefinitions(canonical, definitions));
  }
}
