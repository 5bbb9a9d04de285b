/**
 * Everything that Vault puts into the data folder: what it is called, what is in it, who makes it and who
 * takes it away. All code has the names from here; `docs/operations.md` shows the same table.
 */
import { isTemporaryName } from '@vault/crypto/files';

/** What a reader of the file learns, the worst case. */
export const SECRECY = {
  nothing: 'nothing secret',
  secret: 'a secret',
  half: 'half of the key',
  envelopes: 'records, encrypted',
  plaintext: 'may hold records in plaintext',
} as const;
export type Secrecy = keyof typeof SECRECY;

/** A file, or a kind of file of which there may be several. */
export interface DataFolderFile {
  /** The whole name, or what the names begin with. */
  readonly name: string;
  /** Of the rest of the name, where there may be several; absent: the name is whole. */
  readonly rest?: RegExp;
  /** As an operator reads it, where it is not the name itself. */
  readonly shown?: string;
  readonly holds: Secrecy;
  readonly what: string;
  readonly madeBy: string;
  readonly goes: string;
}

/** `_1`, `_2`, … where files of before are kept. */
const NUMBERED = '(?:_\\d+)?';
const UNTIL_DELETED = 'you delete it';

export const DATA_FOLDER = {
  halfFile: {
    name: 'vault-encryption-key',
    rest: /(?:\.lock|\.corrupt-\d+)?/,
    shown: 'vault-encryption-key, .lock, .corrupt-1, …',
    holds: 'half',
    what: 'a half, where its source is `file` and has no other `path`; who changes it holds the lock; what was no half is kept beside',
    madeBy: 'the server that makes a key',
    goes: 'each key with its deletion; corrupt copies: you delete them',
  },
  witness: {
    name: 'vault-state',
    holds: 'nothing',
    what: 'what this server last knew of the database: id, epoch, state, key id. What Redis says must not be older',
    madeBy: 'every start and change of state',
    goes: 'stays',
  },
  formerWitness: {
    name: 'vault-state.replaced-',
    rest: /\d+/,
    shown: 'vault-state.replaced-…',
    holds: 'nothing',
    what: 'the one before `accept-database`',
    madeBy: '`accept-database`',
    goes: UNTIL_DELETED,
  },
  formerSeal: {
    name: 'vault-seal.replaced-',
    rest: /\d+/,
    shown: 'vault-seal.replaced-…',
    holds: 'nothing',
    what: 'a record of state that could not be believed, as it was in Redis',
    madeBy: '`accept-database`',
    goes: UNTIL_DELETED,
  },
  confirmation: {
    name: 'confirm-decrypt',
    holds: 'nothing',
    what: 'the confirmation that a pinned database wants before it is decrypted, with a MAC',
    madeBy: '`confirm-decrypt`',
    goes: 'the next start',
  },
  migrationBackup: {
    name: 'encryption-backup',
    rest: new RegExp(`${NUMBERED}\\.json(?:\\.pgp)?(?:\\.manifest)?`),
    shown: 'encryption-backup.json, _1, …, .pgp, .manifest',
    holds: 'plaintext',
    what: 'all records as they were before a migration, plaintext unless a recipient or passphrase is stored, and the hashes that the migration compares with',
    madeBy: 'a start that encrypts or decrypts',
    goes: 'the end of the migration; one that `accept-database`, `recover` or `restore-migration-backup` left: you delete it',
  },
  droppedFields: {
    name: 'dropped-fields',
    rest: new RegExp(`${NUMBERED}\\.json(?:\\.pgp)?`),
    shown: 'dropped-fields.json, _1, …, .pgp',
    holds: 'plaintext',
    what: 'records that lost a field, as they were stored',
    madeBy: 'a start with `dropFields`',
    goes: UNTIL_DELETED,
  },
  archive: {
    name: 'archived-database_',
    rest: new RegExp(`\\d{8}T\\d{6}Z${NUMBERED}\\.jsonl`),
    shown: 'archived-database_….jsonl',
    holds: 'plaintext',
    what: 'a database that was put aside, key by key; what was encrypted stays so',
    madeBy: '`recover`, `restore-migration-backup`, `restore-archive`',
    goes: UNTIL_DELETED,
  },
  spool: {
    name: 'import-',
    rest: /[0-9a-f-]+\.spool/,
    shown: 'import-….spool',
    holds: 'plaintext',
    what: 'an import that is not finished; encrypted where the database is',
    madeBy: 'an import',
    goes: 'its end, or the next start',
  },
  recoveryUpload: {
    name: 'recovery-upload',
    holds: 'nothing',
    what: 'a backup on its way in, under a key that only the process has; it has a temporary name, and never this one',
    madeBy: 'the recovery API',
    goes: 'the end of the upload, or the next start',
  },
  recoveryMarker: {
    name: 'recovery-under-way',
    holds: 'nothing',
    what: 'a recovery that began to change the database and did not end: no start serves meanwhile',
    madeBy: '`recover`, `restore-migration-backup`, `restore-archive`',
    goes: 'the end of the same command',
  },
  kitState: {
    name: 'recovery-kit-state',
    holds: 'nothing',
    what: 'for which key a recovery kit was made and proven, with a MAC',
    madeBy: '`recovery-kit`',
    goes: 'stays',
  },
  exportState: {
    name: 'scheduled-export-state',
    holds: 'nothing',
    what: 'how the last scheduled config backup went',
    madeBy: 'each scheduled config backup',
    goes: 'stays',
  },
  machine: {
    name: 'vault-machine',
    holds: 'nothing',
    what: 'on which machine this folder is: a copy of it is told',
    madeBy: 'every start that serves, `keys moved`',
    goes: 'stays',
  },
  instance: {
    name: 'instance',
    holds: 'secret',
    what: 'by which the commands know the server that runs on this folder',
    madeBy: 'the first start',
    goes: 'stays',
  },
  initialPassword: {
    name: 'initial-password',
    holds: 'secret',
    what: 'the password of the first administrator, until it is changed',
    madeBy: 'the first start',
    goes: 'you delete it, or `reset-password` of that user',
  },
  localSocket: {
    name: 'vault.sock',
    holds: 'nothing',
    what: 'the Unix socket of the server, unless `http.socket` puts it elsewhere',
    madeBy: 'every start',
    goes: 'the stop',
  },
  ownRedis: {
    name: 'redis',
    shown: 'redis/',
    holds: 'plaintext',
    what: 'the server’s own Redis: its files, log, configuration, socket and lock; its files are in plaintext where the database is',
    madeBy: 'a start without `redis.url`',
    goes: 'stays',
  },
} as const satisfies Record<string, DataFolderFile>;

export type DataFolderKind = keyof typeof DATA_FOLDER;

/** Whether a file of the data folder is of a kind: its final name, not a temporary one. */
export function isOfKind(kind: DataFolderKind, fileName: string): boolean {
  const { name, rest }: DataFolderFile = DATA_FOLDER[kind];
  if (rest === undefined) return fileName === name;
  return new RegExp(`^(?:${rest.source})$`).test(tailAfter(name, fileName) ?? '\0');
}

/** Whether it is being written to become one of a kind, or was when its process was killed. */
export function isBecoming(kind: DataFolderKind, fileName: string): boolean {
  return isTemporaryName(fileName) && isOfKind(kind, fileName.replace(/\.tmp-[0-9a-f-]+$/, ''));
}

/** What a file of the data folder is; `undefined` for what Vault did not put there. */
export function kindOf(fileName: string): DataFolderKind | undefined {
  const kinds = Object.keys(DATA_FOLDER) as DataFolderKind[];
  return kinds.find((kind) => isOfKind(kind, fileName) || isBecoming(kind, fileName));
}

function tailAfter(start: string, text: string): string | undefined {
  return text.startsWith(start) ? text.slice(start.length) : undefined;
}
