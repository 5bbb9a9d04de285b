import { temporaryPath } from '@vault/crypto/files';
import { describe, expect, test } from '@jest/globals';
import { DATA_FOLDER, isBecoming, isOfKind, kindOf } from '../../src/files/data-folder.js';
import type { DataFolderFile, DataFolderKind } from '../../src/files/data-folder.js';

const KINDS = Object.keys(DATA_FOLDER) as DataFolderKind[];

/** One name of each kind, as the code makes it. */
const NAMES: Record<DataFolderKind, readonly string[]> = {
  halfFile: ['vault-encryption-key', 'vault-encryption-key.lock', 'vault-encryption-key.corrupt-2'],
  witness: ['vault-state'],
  formerWitness: ['vault-state.replaced-1764158400000'],
  formerSeal: ['vault-seal.replaced-1764158400000'],
  confirmation: ['confirm-decrypt'],
  migrationBackup: [
    'encryption-backup.json',
    'encryption-backup_1.json.pgp',
    'encryption-backup_12.json.manifest',
    'encryption-backup.json.pgp.manifest',
  ],
  droppedFields: ['dropped-fields.json', 'dropped-fields_3.json.pgp'],
  archive: [
    'archived-database_20261122T070000Z.jsonl',
    'archived-database_20261122T070000Z_1.jsonl',
  ],
  spool: ['import-0a1b2c3d-4711-0123456789abcdef.spool'],
  recoveryUpload: ['recovery-upload'],
  recoveryMarker: ['recovery-under-way'],
  kitState: ['recovery-kit-state'],
  exportState: ['scheduled-export-state'],
  machine: ['vault-machine'],
  instance: ['instance'],
  initialPassword: ['initial-password'],
  localSocket: ['vault.sock'],
  ownRedis: ['redis'],
};

describe('the table of the data folder', () => {
  test.each(KINDS)(
    'knows each name of "%s", whole and being written, and takes it for no other',
    (kind) => {
      for (const name of NAMES[kind]) {
        expect(kindOf(name)).toBe(kind);
        expect(KINDS.filter((each) => isOfKind(each, name))).toEqual([kind]);
        expect(isBecoming(kind, temporaryPath(name))).toBe(true);
        expect(isOfKind(kind, temporaryPath(name))).toBe(false);
      }
    },
  );

  test.each([
    'vault-state2',
    'my-vault-state',
    'encryption-backup.json.old',
    'encryption-backup/../vault-encryption-key',
    'encryption-backup.json\n',
    'dropped-fields.txt',
    'archived-database_mine.jsonl',
    'import-x.spool',
    'config.toml',
    '',
  ])('knows nothing of %j', (name) => {
    expect(kindOf(name)).toBeUndefined();
  });

  test('shows a name wherever there may be several', () => {
    for (const { name, rest, shown } of Object.values<DataFolderFile>(DATA_FOLDER)) {
      expect(rest === undefined || shown?.startsWith(name)).toBe(true);
    }
  });
});
