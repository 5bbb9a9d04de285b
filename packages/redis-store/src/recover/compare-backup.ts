/**
 * What putting a migration backup back would mean: which of its records can be put back, what stands
 * in Redis and not in it, and whether the keys are there after all, so that nothing need be put back.
 * Reads file and Redis, changes nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import { envelopeKeyId, isEnvelope } from '@vault/crypto';
import type { KeyId, KeyRing } from '@vault/crypto';
import { checkDefinitions } from '../records/collection-definition.js';
import type { CollectionDefinitions } from '../records/collection-definition.js';
import { OperationRefusedError, RecordInvalidError, RecordUnreadableError } from '../errors.js';
import type { CredentialRecord } from '../records/json-record.js';
import { KeyNames } from '../redis/key-names.js';
import { loadKeys } from '../state/load-keys.js';
import { openBackedUp, readMigrationBackup } from '../engine/read-backup.js';
import type { BackedUpRecord, BackupHead } from '../engine/read-backup.js';
import type { OpenOptions } from '../open-options.js';
import { CALL_MAX_RECORDS, partitionNumber } from '../partitions/partition.js';
import { checkRecord } from '../records/record-check.js';
import { RecordCodec } from '../records/record-codec.js';
import { RedisLink } from '../redis/redis-link.js';
import { isAuthenticSeal, parseSeal } from '../state/seal.js';
import type { ParsedSeal } from '../state/seal.js';
import { filedCollections, parseCanonicalDefinitions } from '../partitions/sealed-definitions.js';
import type { FiledCollection } from '../partitions/sealed-definitions.js';
import { Witness } from '../state/witness.js';

export type CompareOptions = Pick<
  OpenOptions,
  'redis' | 'prefix' | 'collections' | 'custody' | 'dataDir' | 'onProgress'
>;

/** What may be believed of a backup. */
export interface BackupTrust {
  /**
   * Whether a record that no key protects is one, where the backup is of plaintext. An envelope says by
   * itself that a holder of the key made it. Default: true.
   */
  readonly mayBePlaintext?: boolean;
}

/** A record of the backup with its content, fit to be imported. */
export interface RestorableRecord {
  readonly collection: string;
  readonly id: string;
  readonly record: CredentialRecord;
}

/** A record of the backup that cannot be put back. */
export interface UnrestorableRecord {
  readonly collection: string;
  readonly id: string;
  /** By field and type, never by value. */
  readonly problem: string;
}

/** Records of one collection. */
export interface CollectionComparison {
  readonly inBackup: number;
  readonly inRedis: number;
  readonly onlyInRedis: number;
  /** In both, with other content. */
  readonly different: number;
  /** In both, but the key of the one in Redis is not there to compare it. */
  readonly notComparable: number;
}

export interface BackupComparison {
  readonly of: BackupHead['of'];
  readonly records: number;
  readonly collections: Readonly<Record<string, CollectionComparison>>;
  /** How many cannot be put back. */
  readonly unrestorable: number;
  /** The first 100 of them. */
  readonly problems: readonly UnrestorableRecord[];
  /** One sentence: the keys that the records in Redis need are there. */
  readonly keysAreThere: string | undefined;
}

const PROBLEMS_REPORTED = 100;
const PLANTED =
  'it is plaintext in the backup of an encrypted database, which has none: somebody put it there';
const UNPROTECTED =
  'it is plaintext in a file that nothing protects, although there is a passphrase for backups: anybody can have written it (vault-server believes it with --allow-unprotected)';
const SCAN_COUNT = 256;
/** Bytes of an envelope that name version and key. */
const HEAD_LAST_BYTE = 8;

/**
 * The records of a backup, opened with the keys that are there and checked as an import does.
 * @param onUnrestorable takes those that cannot be put back; default: the first one ends it
 * @throws {OperationRefusedError} for a record that cannot be put back
 * @throws {MigrationError} when the file is not a whole backup of a migration
 */
export async function* restorableRecords(
  bytes: AsyncIterable<Uint8Array>,
  definitions: CollectionDefinitions,
  ring: KeyRing,
  onUnrestorable: (record: UnrestorableRecord) => void = refuse,
  trust: BackupTrust = {},
): AsyncGenerator<RestorableRecord> {
  const { head, records } = await readMigrationBackup(bytes);
  const opener = new Opener(definitions, ring, head, trust);
  for await (const backedUp of records) {
    const opened = opener.open(backedUp);
    if ('problem' in opened) onUnrestorable(opened);
    else yield opened;
  }
}

function refuse({ collection, id, problem }: UnrestorableRecord): never {
  throw new OperationRefusedError(`${collection} ${id} cannot be put back: ${problem}`);
}

class Opener {
  readonly #definitions: CollectionDefinitions;
  readonly #ring: KeyRing;
  readonly #plaintextRefusal: string | undefined;
  readonly #codecs = new Map<string, RecordCodec>();

  constructor(
    definitions: CollectionDefinitions,
    ring: KeyRing,
    { of }: BackupHead,
    { mayBePlaintext = true }: BackupTrust,
  ) {
    this.#definitions = definitions;
    this.#ring = ring;
    if (of === 'encrypted') this.#plaintextRefusal = PLANTED;
    else if (!mayBePlaintext) this.#plaintextRefusal = UNPROTECTED;
  }

  open(backedUp: BackedUpRecord): RestorableRecord | UnrestorableRecord {
    const { collection, id, stored } = backedUp;
    if (this.#plaintextRefusal !== undefined && !isEnvelope(stored)) {
      return { collection: shown(collection), id: shown(id), problem: this.#plaintextRefusal };
    }
    try {
      const record = openBackedUp(this.#codecOf(collection), this.#ring, backedUp);
      checkRecord(this.#definitions, collection, id, record);
      return { collection, id, record };
    } catch (error) {
      if (error instanceof RecordInvalidError) {
        return { collection: shown(collection), id: shown(id), problem: error.message };
      }
      if (!(error instanceof RecordUnreadableError)) throw error;
      const needed = isEnvelope(stored) ? envelopeKeyId(stored) : undefined;
      const problem =
        error.reason === 'unknown-key'
          ? `it is under the key ${needed}, which was not found: put its halves back first`
          : `it cannot be read (${error.reason})`;
      return { collection, id, problem };
    }
  }

  #codecOf(collection: string): RecordCodec {
    let codec = this.#codecs.get(collection);
    if (codec === undefined) {
      const definition = Object.hasOwn(this.#definitions, collection)
        ? this.#definitions[collection]
        : undefined;
      if (definition === undefined) {
        throw new RecordInvalidError(shown(collection), undefined, 'there is no such collection');
      }
      codec = new RecordCodec(collection, definition);
      this.#codecs.set(collection, codec);
    }
    return codec;
  }
}

/** A name out of a file, fit for a message. */
function shown(name: string): string {
  return name.slice(0, 100).replaceAll(/[^A-Za-z0-9_.@:-]/g, '?');
}

/**
 * Compares a backup with what stands in Redis.
 * @param bytes of the JSON document: what protects it is taken off already
 * @throws {MigrationError} when the file is not a whole backup of a migration
 */
export async function compareWithBackup(
  bytes: AsyncIterable<Uint8Array>,
  options: CompareOptions,
  trust: BackupTrust = {},
): Promise<BackupComparison> {
  checkDefinitions(options.collections);
  const link = await RedisLink.connect(options.redis, new KeyNames(options.prefix));
  try {
    // A half that was put back without its label is one that is there.
    const witness = new Witness(options.dataDir);
    const { ring } = await loadKeys({ custody: options.custody, link, witness });
    const seal = await readSeal(link);
    const standing = await countStanding(link);
    const comparing = new Comparing(standing, filedNow(link, seal, options.collections), ring);
    const { head, records } = await readMigrationBackup(bytes);
    const opener = new Opener(options.collections, ring, head, trust);
    const problems: UnrestorableRecord[] = [];
    let unrestorable = 0;
    let done = 0;
    let batch: BackedUpRecord[] = [];
    for await (const record of records) {
      const opened = opener.open(record);
      if ('problem' in opened) {
        unrestorable++;
        if (problems.length < PROBLEMS_REPORTED) problems.push(opened);
      }
      batch.push(record);
      if (batch.length < CALL_MAX_RECORDS) continue;
      await comparing.add(batch);
      done += batch.length;
      batch = [];
      options.onProgress?.({ phase: 'compare', done, total: 0 });
    }
    await comparing.add(batch);
    done += batch.length;
    return {
      of: head.of,
      records: done,
      collections: comparing.result(),
      unrestorable,
      problems,
      keysAreThere: keysAreThere(seal, standing.keyIds, link.names.prefix, ring),
    };
  } finally {
    await link.close();
  }
}

async function readSeal(link: RedisLink): Promise<ParsedSeal | undefined> {
  const bytes = await link.get(link.names.seal);
  const parsed = bytes === undefined ? undefined : parseSeal(bytes.toString());
  if (parsed === 'newer-layout') {
    throw new OperationRefusedError('the database in Redis was written by a newer version');
  }
  return parsed;
}

/** Collections as records in Redis are filed, as far as the seal can be read. It is only counted with. */
function filedNow(
  link: RedisLink,
  seal: ParsedSeal | undefined,
  configured: CollectionDefinitions,
): readonly FiledCollection[] {
  if (typeof seal !== 'object') return filedCollections(link, configured);
  try {
    const sealed = parseCanonicalDefinitions(seal.content.definitions, configured);
    return filedCollections(link, sealed);
  } catch {
    return filedCollections(link, configured);
  }
}

/** What Redis holds, listed or not. */
interface Standing {
  readonly counts: ReadonlyMap<string, number>;
  /** Keys that records are under. */
  readonly keyIds: ReadonlySet<KeyId>;
}

async function countStanding(link: RedisLink): Promise<Standing> {
  const counts = new Map<string, number>();
  const keyIds = new Set<KeyId>();
  for (const master of await link.mastersOfAllSlots()) {
    // oxlint-disable no-await-in-loop -- one page after the other
    for await (const page of master.scan(link.names.recordPattern, SCAN_COUNT)) {
      const records = page.filter((key) => link.names.parse(key)?.kind === 'record');
      const heads = await Promise.all(
        records.map(async (key) => link.command('GETRANGE', key, 0, HEAD_LAST_BYTE)),
      );
      for (const [i, key] of records.entries()) {
        const parsed = link.names.parse(key);
        const head = heads[i];
        if (parsed?.kind !== 'record') continue;
        const [collection = ''] = parsed.partition.split('.', 1);
        counts.set(collection, (counts.get(collection) ?? 0) + 1);
        const keyId = Buffer.isBuffer(head) && isEnvelope(head) ? envelopeKeyId(head) : undefined;
        if (keyId !== undefined) keyIds.add(keyId);
      }
    }
    // oxlint-enable no-await-in-loop
  }
  return { counts, keyIds };
}

/** Going back is an operation of the server then, which loses nothing: putting back is for what cannot be opened. */
function keysAreThere(
  seal: ParsedSeal | undefined,
  keyIds: ReadonlySet<KeyId>,
  prefix: string,
  ring: KeyRing,
): string | undefined {
  if (typeof seal === 'object' && isAuthenticSeal(seal, prefix, ring)) {
    const { keyId, previousKeyId, state } = seal.content;
    if (previousKeyId === null || ring.byId(previousKeyId) !== undefined) {
      return `the database is ${state}, and its key ${keyId} is there: nothing needs to be put back. To go back, set encryptCredentialDatabase to what you want and restart the server`;
    }
  }
  const isEveryKeyThere =
    keyIds.size > 0 && [...keyIds].every((keyId) => ring.byId(keyId) !== undefined);
  if (!isEveryKeyThere) return undefined;
  const sealed = typeof seal === 'object' && seal.content.keyId !== null;
  return sealed && ring.byId(seal.content.keyId) === undefined
    ? undefined
    : `records in Redis are under the key ${[...keyIds].join(', ')}, which is there: nothing needs to be put back. Restart the server; where it says that this is not the database that it knows, run vault-server accept-database first`;
}

interface Counts {
  inBackup: number;
  inRedis: number;
  found: number;
  different: number;
  notComparable: number;
}

/** Looks the records of a backup up in Redis, a few hundred at a time. */
class Comparing {
  readonly #filed: ReadonlyMap<string, FiledCollection>;
  readonly #ring: KeyRing;
  readonly #counts = new Map<string, Counts>();

  constructor({ counts }: Standing, filed: readonly FiledCollection[], ring: KeyRing) {
    this.#filed = new Map(filed.map((collection) => [collection.name, collection]));
    this.#ring = ring;
    for (const [collection, inRedis] of counts) this.#countsOf(collection).inRedis = inRedis;
  }

  async add(records: readonly BackedUpRecord[]): Promise<void> {
    const standing = await Promise.all(records.map(async (record) => this.#standing(record)));
    records.forEach((record, i) => this.#count(record, standing[i]));
  }

  result(): Record<string, CollectionComparison> {
    return Object.fromEntries(
      [...this.#counts]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([collection, { found, ...counts }]) => [
          shown(collection),
          { ...counts, onlyInRedis: Math.max(0, counts.inRedis - found) },
        ]),
    );
  }

  async #standing({ collection, id }: BackedUpRecord): Promise<Buffer | undefined> {
    const partitions = this.#filed.get(collection)?.partitions ?? [];
    return partitions[partitionNumber(id, Math.max(1, partitions.length))]?.read(id);
  }

  #count(record: BackedUpRecord, standing: Buffer | undefined): void {
    const counts = this.#countsOf(record.collection);
    counts.inBackup++;
    if (standing === undefined) return;
    counts.found++;
    if (standing.equals(record.stored)) return;
    const [here, there] = [this.#content(record, standing), this.#content(record, record.stored)];
    if (here === undefined || there === undefined) counts.notComparable++;
    else if (!isDeepStrictEqual(here, there)) counts.different++;
  }

  #content({ collection, id }: BackedUpRecord, stored: Buffer): CredentialRecord | undefined {
    const codec = this.#filed.get(collection)?.codec;
    if (codec === undefined) return undefined;
    try {
      return openBackedUp(codec, this.#ring, { id, stored });
    } catch (error) {
      if (error instanceof RecordUnreadableError) return undefined;
      throw error;
    }
  }

  #countsOf(collection: string): Counts {
    let counts = this.#counts.get(collection);
    if (counts === undefined) {
      counts = { inBackup: 0, inRedis: 0, found: 0, different: 0, notComparable: 0 };
      this.#counts.set(collection, counts);
    }
    return counts;
  }
}
