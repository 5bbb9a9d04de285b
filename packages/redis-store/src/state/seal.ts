/**
 * The seal: the one record in Redis that says what state the database is in and under which key.
 *
 * ```
 * JSON text ‖ "\n" ‖ base64url(HMAC-SHA256(seal key, prefix, database id, JSON text))     while there is an active key
 * JSON text ‖ "\n" ‖ "-"                                                                   in state plaintext
 * ```
 *
 * Each change of it raises the epoch, so an epoch names one content. A plaintext seal cannot be
 * authenticated, except by its tombstone: the statement, signed by the last key before the key went,
 * that this database was decrypted on purpose.
 */
import { isKeyId } from '@vault/crypto';
import type { KeyId, KeyRing, VaultKey } from '@vault/crypto';
import { DATABASE_ORIGINS, DATABASE_STATES } from './database-state.js';
import type { DatabaseOrigin, DatabaseState } from './database-state.js';
import { areCanonicalDefinitions } from '../partitions/sealed-definitions.js';
import { isOfKind } from '../files/data-folder.js';
import type { DataFolderKind } from '../files/data-folder.js';

/** Definitions, the longest that a seal holds, take some kilobytes; a record itself may have no more. */
const SEAL_BYTES_MAX = 2 ** 20;
/** Longer than any of ours, and than any file system takes. */
const FILE_NAME_MAX = 255;

/** Layout of seal, fences and records. A higher one is another program's: degraded. */
export const SEAL_LAYOUT = 1;

/** Signed statement that the database left the key. */
export interface Tombstone {
  /** Every key that the database has no need of any more; the last one signed. */
  readonly keyIds: readonly KeyId[];
  /** Files of its migrations, to be deleted before the keys. */
  readonly files: readonly string[];
  /** Epoch of the seal that first carried it. */
  readonly epoch: number;
  /** base64url, 32 bytes: HMAC under the seal key of that key. */
  readonly mac: string;
}

/** A change of the whole database that is under way. */
export interface SealedMigration {
  /** What the records were when it began: only that form is believed until the manifest is complete. */
  readonly from: 'plaintext' | 'encrypted' | 'either';
  /** File name of the backup in the data folder of the process that began. */
  readonly backup: string;
  /** Machine whose data folder holds the files, for an operator. */
  readonly host: string;
  /** Backup and manifest are complete: from here records change. */
  readonly isBackedUp: boolean;
}

/** An import that is being written. */
export interface SealedImport {
  /** File name in the data folder. */
  readonly spool: string;
  readonly host: string;
}

export interface SealContent {
  readonly v: typeof SEAL_LAYOUT;
  readonly databaseId: string;
  readonly epoch: number;
  readonly state: DatabaseState;
  /** The key that writes; in `decrypting` the one that opens; `null` in `plaintext`. */
  readonly keyId: KeyId | null;
  /** Only in `rekeying`. */
  readonly previousKeyId: KeyId | null;
  /** A rotation that asks the live processes to confirm this key. */
  readonly pendingKeyId: KeyId | null;
  /** Keys that no record needs any more and whose lines are still kept. */
  readonly inactiveKeyIds: readonly KeyId[];
  /** When the active key became active, ms since the epoch. */
  readonly activeSinceMs: number | null;
  /** {@link canonicalDefinitions} in force. */
  readonly definitions: string;
  /** Those that records may still be filed under, while a refiling runs. */
  readonly previousDefinitions: string | null;
  /** Fields that every record fits, as `canonicalFields` writes them; `null`: not known, so the next start looks. */
  readonly fields: string | null;
  readonly migration: SealedMigration | null;
  readonly importing: SealedImport | null;
  /** Files of migrations in the data folder, still to be deleted. */
  readonly files: readonly string[];
  readonly retired: Tombstone | null;
  /** The first administrator was made. */
  readonly bootstrapped: boolean;
  /** Decides what an absent setting means. */
  readonly origin: DatabaseOrigin;
  /** To decrypt it takes a confirmation on a machine with the halves. Never in `plaintext`. */
  readonly pinned: boolean;
}

/** The first seal of a database. */
export function newSeal(
  databaseId: string,
  definitions: string,
  isMadeEncrypted: boolean,
): SealContent {
  return {
    v: SEAL_LAYOUT,
    databaseId,
    epoch: 1,
    state: 'plaintext',
    keyId: null,
    previousKeyId: null,
    pendingKeyId: null,
    inactiveKeyIds: [],
    activeSinceMs: null,
    definitions,
    previousDefinitions: null,
    fields: null,
    migration: null,
    importing: null,
    files: [],
    retired: null,
    bootstrapped: false,
    origin: isMadeEncrypted ? 'made-encrypted' : 'switched-on',
    pinned: false,
  };
}

/** A seal as read, not believed yet. */
export interface ReadSeal {
  readonly bytes: string;
  readonly content: SealContent;
  readonly json: string;
  readonly mac: string;
}
export type ParsedSeal = ReadSeal | 'newer-layout' | 'malformed';

/** The last one that a `Date` writes with four digits of the year, and any sum with a time span still is one. */
const TIME_MAX_MS = Date.UTC(9999, 11, 31);

const isText = (value: unknown): boolean => typeof value === 'string';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isTime = (value: unknown): boolean => isCount(value) && (value as number) <= TIME_MAX_MS;
const isDefinitions = (value: unknown): boolean =>
  typeof value === 'string' && areCanonicalDefinitions(value);
const orNull =
  (check: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === null || check(value);
const listOf =
  (check: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(check);
const shapeOf =
  (shape: Shape) =>
  (value: unknown): boolean =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(shape).every(([name, check]) => check((value as Record<string, unknown>)[name]));
/**
 * Names that only we give to files of the data folder. Anybody who can write to Redis makes a plaintext
 * seal, and what it names is deleted later: half B, the witness and the configuration lie in that folder too.
 */
const isNamed = (kind: DataFolderKind) => (value: unknown) =>
  typeof value === 'string' && value.length <= FILE_NAME_MAX && isOfKind(kind, value);
const isMigrationFile = isNamed('migrationBackup');
const isSpool = isNamed('spool');
const isState = (value: unknown): boolean => DATABASE_STATES.includes(value as DatabaseState);
const isOrigin = (value: unknown): boolean => DATABASE_ORIGINS.includes(value as DatabaseOrigin);

type Shape = Readonly<Record<string, (value: unknown) => boolean>>;

const MIGRATION_SHAPE = {
  from: (value) => value === 'plaintext' || value === 'encrypted' || value === 'either',
  backup: isMigrationFile,
  host: isText,
  isBackedUp: (value) => typeof value === 'boolean',
} satisfies Record<keyof SealedMigration, (value: unknown) => boolean>;
const IMPORT_SHAPE = {
  spool: isSpool,
  host: isText,
} satisfies Record<keyof SealedImport, (value: unknown) => boolean>;
const TOMBSTONE_SHAPE = {
  keyIds: listOf(isKeyId),
  files: listOf(isMigrationFile),
  epoch: isCount,
  mac: isText,
} satisfies Record<keyof Tombstone, (value: unknown) => boolean>;
const SEAL_SHAPE = {
  v: (value) => value === SEAL_LAYOUT,
  databaseId: (value) => typeof value === 'string' && /^[0-9a-f-]{36}$/.test(value),
  epoch: (value) => isCount(value) && (value as number) > 0,
  state: isState,
  keyId: orNull(isKeyId),
  previousKeyId: orNull(isKeyId),
  pendingKeyId: orNull(isKeyId),
  inactiveKeyIds: listOf(isKeyId),
  activeSinceMs: orNull(isTime),
  definitions: isDefinitions,
  previousDefinitions: orNull(isDefinitions),
  fields: orNull(isText),
  migration: orNull(shapeOf(MIGRATION_SHAPE)),
  importing: orNull(shapeOf(IMPORT_SHAPE)),
  files: listOf(isMigrationFile),
  retired: orNull(shapeOf(TOMBSTONE_SHAPE)),
  bootstrapped: (value) => typeof value === 'boolean',
  origin: isOrigin,
  pinned: (value) => typeof value === 'boolean',
} satisfies Record<keyof SealContent, (value: unknown) => boolean>;

/** Reads the bytes of a seal without believing them. */
export function parseSeal(bytes: string): ParsedSeal {
  const at = bytes.lastIndexOf('\n');
  if (at < 0 || Buffer.byteLength(bytes) > SEAL_BYTES_MAX) return 'malformed';
  const json = bytes.slice(0, at);
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch {
    return 'malformed';
  }
  if (typeof content !== 'object' || content === null || !('v' in content)) return 'malformed';
  if (typeof content.v === 'number' && content.v > SEAL_LAYOUT) return 'newer-layout';
  if (!shapeOf(SEAL_SHAPE)(content)) return 'malformed';
  const seal = onlyKnown(content as SealContent);
  if ((seal.keyId === null) !== (seal.state === 'plaintext')) return 'malformed';
  // Nobody signs a plaintext seal: what it says must bind nobody later.
  if (seal.pinned && seal.state === 'plaintext') return 'malformed';
  return { bytes, content: seal, json, mac: bytes.slice(at + 1) };
}

/** What it does not know is not carried over into the next seal, which a key signs. */
function onlyKnown(content: SealContent): SealContent {
  const { migration, importing, retired } = content;
  return {
    ...onlyOf(SEAL_SHAPE, content),
    migration: migration && onlyOf(MIGRATION_SHAPE, migration),
    importing: importing && onlyOf(IMPORT_SHAPE, importing),
    retired: retired && onlyOf(TOMBSTONE_SHAPE, retired),
  };
}

function onlyOf<T extends object>(shape: Shape & Record<keyof T, unknown>, value: T): T {
  const names = Object.keys(shape) as (keyof T)[];
  return Object.fromEntries(names.map((name) => [name, value[name]])) as T;
}

/**
 * The bytes of a seal.
 * @param key the key that `content.keyId` names, `undefined` in state plaintext
 * @throws TypeError when key and content do not belong together
 */
export function sealBytes(content: SealContent, prefix: string, key: VaultKey | undefined): string {
  if ((key?.id ?? null) !== content.keyId) {
    throw new TypeError('expected the key that the seal names');
  }
  const json = JSON.stringify(content);
  const mac = key?.mac('seal', prefix, content.databaseId, json).toString('base64url') ?? '-';
  return `${json}\n${mac}`;
}

/**
 * Whether a seal that names a key was made by a holder of that key. A plaintext seal names none and
 * is never authentic by itself: see {@link isTombstone}.
 */
export function isAuthenticSeal(seal: ReadSeal, prefix: string, ring: KeyRing): boolean {
  if (seal.content.keyId === null) return false;
  const key = ring.byId(seal.content.keyId);
  const mac = Buffer.from(seal.mac, 'base64url');
  return key?.isMac('seal', mac, prefix, seal.content.databaseId, seal.json) ?? false;
}

const TOMBSTONE_LABEL = 'tombstone';

/** What a tombstone says. */
export interface Retirement {
  readonly databaseId: string;
  readonly keyIds: readonly KeyId[];
  readonly files: readonly string[];
  readonly epoch: number;
}

function tombstoneParts(
  prefix: string,
  { databaseId, keyIds, files, epoch }: Retirement,
): string[] {
  return [prefix, databaseId, TOMBSTONE_LABEL, String(epoch), keyIds.join(','), files.join(',')];
}

/**
 * The statement that a database leaves its keys at an epoch.
 * @param key the last of `retirement.keyIds`
 */
export function makeTombstone(key: VaultKey, prefix: string, retirement: Retirement): Tombstone {
  const mac = key.mac('seal', ...tombstoneParts(prefix, retirement)).toString('base64url');
  const { keyIds, files, epoch } = retirement;
  return { keyIds, files, epoch, mac };
}

/** Whether a tombstone was signed by a key of the ring for this database. */
export function isTombstone(
  tombstone: Tombstone,
  prefix: string,
  databaseId: string,
  ring: KeyRing,
): boolean {
  const { keyIds, files, epoch } = tombstone;
  const signer = keyIds.at(-1);
  const key = signer === undefined ? undefined : ring.byId(signer);
  const mac = Buffer.from(tombstone.mac, 'base64url');
  const parts = tombstoneParts(prefix, { databaseId, keyIds, files, epoch });
  return key?.isMac('seal', mac, ...parts) ?? false;
}
