/**
 * Backup and manifest, written before a migration changes any record.
 *
 * The backup is one valid JSON document, one record a line:
 * ```
 * {"format":"vault-migration-backup","version":1,"databaseId":…,"of":"plaintext",…,"records":[
 * {"collection":"server","id":"…","record":{…}},            plaintext, the stored bytes as they are
 * {"collection":"server","id":"…","stored":"<base64>"}      an envelope, or bytes that are no JSON object
 * ]}
 * ```
 */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isEnvelope } from '@vault/crypto';
import type { VaultKey } from '@vault/crypto';
import { NewFile } from '@vault/crypto/files';
import { unlistedRecords } from '../audit/audit.js';
import { RecordUnreadableError } from '../errors.js';
import { decodeRecord } from '../records/json-record.js';
import type { SealedMigration } from '../state/seal.js';
import { freeFileName } from '../files/free-file-name.js';
import { manifestHash, ManifestWriter } from '../audit/manifest.js';
import type { ManifestEntry } from '../audit/manifest.js';
import type { BackupProtection } from '../open-options.js';
import type { MigrationContext } from './migration-context.js';
import { listNames, MigrationError } from '../migration-error.js';
import { notEmptyError } from './must-be-empty.js';
import { countRecords, readRecords } from '../partitions/record-stream.js';
import type { RecordBatch } from '../partitions/record-stream.js';
import { DATA_FOLDER } from '../files/data-folder.js';

export const BACKUP_FORMAT = 'vault-migration-backup';
export const BACKUP_VERSION = 1;
const BACKUP_MODE = 0o400;

/** Path of the manifest that belongs to a backup. */
export function manifestPathOf(backupPath: string): string {
  return `${backupPath}.manifest`;
}

/**
 * `encryption-backup.json`, or with `_1`, `_2`, … where files of an earlier migration are kept.
 * @param kept those that the seal names, which may be in the data folder of another server
 */
export async function freeBackupName(
  dataDir: string,
  ending: string,
  kept: readonly string[],
): Promise<string> {
  return freeFileName(
    dataDir,
    DATA_FOLDER.migrationBackup.name,
    `.json${ending}`,
    manifestPathOf(''),
    kept,
  );
}

/** The line and the manifest entry of one record, or why it may not be there. */
type Classified = { readonly line: string; readonly entry: ManifestEntry } | 'planted';

/**
 * Writes backup and manifest to the end, and syncs them.
 * @param from the form that records must have; a plaintext record of an encrypted database was planted
 * @throws {MigrationError} naming what was planted
 */
export async function writeBackup(
  context: MigrationContext,
  key: VaultKey,
  migration: SealedMigration,
): Promise<void> {
  const { databaseId } = context.keeper.content;
  const path = join(context.dataDir, migration.backup);
  const { protection } = context;
  const isProtected = protection !== undefined && migration.backup.endsWith(protection.ending);
  const manifest = await ManifestWriter.create(manifestPathOf(path), key, databaseId);
  let backup: BackupWriter | undefined;
  try {
    backup = await BackupWriter.create(path, isProtected ? protection : undefined);
    await backup.write(backupHead(databaseId, migration.from));
    await writeRecords(context, key, migration.from, manifest, backup);
    await backup.write('\n]}\n');
    await backup.finish();
    await manifest.finish();
    await manifest.place();
    await backup.place();
  } catch (error) {
    await backup?.discard();
    await manifest.discard();
    // The renamed ones too: the migration goes back, and nobody would ever delete a backup that no seal names.
    const written = [path, manifestPathOf(path)];
    await Promise.allSettled(written.map(async (name) => rm(name, { force: true })));
    throw error;
  }
}

/** The first line. */
export function backupHead(databaseId: string, of: SealedMigration['from']): string {
  const head = { format: BACKUP_FORMAT, version: BACKUP_VERSION, databaseId, of };
  return `${JSON.stringify(head).slice(0, -1)},"records":[\n`;
}

async function writeRecords(
  context: MigrationContext,
  key: VaultKey,
  from: SealedMigration['from'],
  manifest: ManifestWriter,
  backup: BackupWriter,
): Promise<void> {
  const collections = context.keeper.filed();
  const total = await countRecords(collections);
  const planted: string[] = [];
  let done = 0;
  let records = 0;
  let isFirst = true;
  for await (const batch of readRecords(collections)) {
    const lines: string[] = [];
    batch.ids.forEach((id, i) => {
      const stored = batch.values[i];
      if (stored === undefined) return;
      // Before it is in the manifest, and so before it is encrypted.
      if (context.mustBeEmpty) throw notEmptyError([`${batch.collection.name} ${id}`]);
      records++;
      const classified = classify(batch, key, from, id, stored);
      if (classified === 'planted') {
        planted.push(`${batch.collection.name} ${id}`);
        return;
      }
      lines.push(classified.line);
      manifest.add(batch.partition.name, id, classified.entry);
    });
    if (lines.length > 0) await backup.write((isFirst ? '' : ',\n') + lines.join(',\n'));
    isFirst = isFirst && lines.length === 0;
    await manifest.flush();
    done += batch.ids.length;
    context.progress('backup', done, total);
    context.lock.check();
  }
  const unlisted = await unlistedRecords(context.link, collections, records);
  if (unlisted.length > 0) {
    const names = unlisted.map(({ collection, id }) => `${collection} ${id}`);
    if (context.mustBeEmpty) throw notEmptyError(names);
    throw new MigrationError(
      `records stand outside the lists of ids, run vault-server verify: ${listNames(names)}`,
    );
  }
  if (planted.length > 0) {
    throw new MigrationError(
      `plaintext records stand in an encrypted database, somebody put them there: ${listNames(planted)}`,
    );
  }
}

function classify(
  { collection }: RecordBatch,
  key: VaultKey,
  from: SealedMigration['from'],
  id: string,
  stored: Buffer,
): Classified {
  const opaque = (): Classified => ({
    line: backupLine(collection.name, id, stored),
    entry: { kind: 'o', hash: manifestHash(stored) },
  });
  if (!isEnvelope(stored)) {
    if (from === 'encrypted') return 'planted';
    return {
      line: backupLine(collection.name, id, stored),
      entry: { kind: 'r', hash: manifestHash(stored) },
    };
  }
  if (from === 'plaintext') return opaque();
  try {
    const rules = { mayBePlaintext: false, mayBeEnvelope: true, byId: onlyKey(key) };
    const json = collection.codec.open(rules, id, stored);
    return {
      line: backupLine(collection.name, id, stored),
      entry: { kind: 'r', hash: manifestHash(json) },
    };
  } catch (error) {
    if (error instanceof RecordUnreadableError) return opaque();
    throw error;
  }
}

/** A rule that opens with one key only. */
export function onlyKey(key: VaultKey): (id: string) => VaultKey | undefined {
  return (id) => (id === key.id ? key : undefined);
}

/** One record. */
export function backupLine(collection: string, id: string, stored: Buffer): string {
  const head = `{"collection":"${collection}","id":${JSON.stringify(id)}`;
  return isEnvelope(stored) || decodeRecord(stored) === undefined
    ? `${head},"stored":"${stored.toString('base64')}"}`
    : `${head},"record":${stored.toString()}}`;
}

/** Streams text to a file, through the protection where there is one. */
export class BackupWriter {
  readonly #file: NewFile;
  readonly #source = new PassThrough();
  readonly #written: Promise<void>;

  private constructor(file: NewFile, protection: BackupProtection | undefined) {
    this.#file = file;
    const readable = protection?.protect(this.#source) ?? this.#source;
    this.#written = pipeline(readable, file.stream());
    this.#written.catch((error: unknown) => {
      this.#source.destroy(error instanceof Error ? error : undefined);
    });
    // Whoever writes next, or finishes, is told by `#written`.
    this.#source.on('error', () => undefined);
  }

  /** @param path of the backup; it has that name once it is placed */
  static async create(
    path: string,
    protection: BackupProtection | undefined,
  ): Promise<BackupWriter> {
    return new BackupWriter(await NewFile.create(path, { mode: BACKUP_MODE }), protection);
  }

  async write(text: string): Promise<void> {
    if (this.#source.destroyed) await this.#written;
    if (!this.#source.write(text)) {
      await Promise.race([once(this.#source, 'drain'), this.#written]);
    }
  }

  async finish(): Promise<void> {
    this.#source.end();
    await this.#written;
    await this.#file.finish();
  }

  /** Gives the finished file its name. */
  async place(): Promise<void> {
    await this.#file.place();
  }

  async discard(): Promise<void> {
    this.#source.destroy();
    await this.#written.catch(() => undefined);
    await this.#file.discard();
  }
}
