// Makes docs/errors.md of the tables of errors in the packages: code, when, what to do. Reads `dist`: build first.
import { KEYSTORE_ERRORS } from '../packages/keystore/dist/errors.js';
import { DEGRADED_MESSAGES, STORE_ERRORS } from '../packages/redis-store/dist/errors.js';
import { BACKUP_ERRORS } from '../packages/rpc-server/dist/backup/errors.js';
import { EXIT_STATUSES as SERVER_STATUSES } from '../packages/rpc-server/dist/commands/exit-status.js';
import { CONFIG_ERRORS } from '../packages/rpc-server/dist/config/errors.js';
import { OWN_REDIS_ERRORS } from '../packages/rpc-server/dist/own-redis/errors.js';
import { RECOVERY_KIT_ERRORS } from '../packages/rpc-server/dist/recovery/errors.js';
import { ERROR_CODES } from '../packages/rpc-server/dist/protocol.js';
import { CLI_ERRORS } from '../packages/vault-cli/dist/errors.js';
import { EXIT_STATUSES, SERVER_ERRORS } from '../packages/vault-cli/dist/exit-status.js';

/** The table of @vault/crypto is its type `CryptoErrorCode`. */
const CRYPTO_ERRORS = {
  ENVELOPE_NOT_OPENED:
    'an envelope does not open: wrong key, tag, associated data, length or version; never said which',
  KEY_HALF_INVALID: 'a key half is not exactly 32 bytes, or not in a form that is read',
  KEY_DESTROYED: 'a key was used after `destroy()`',
};

const IN_OPERATIONS = (heading) =>
  `see [${heading}](operations.md#${heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')})`;

/** What to do, by code, where the table of the package does not say so itself. */
const ADVICE = {
  crypto: {
    ENVELOPE_NOT_OPENED: 'run `vault-server verify`, which names the reason by record',
    KEY_HALF_INVALID: 'restore the half from where it was kept',
    KEY_DESTROYED: 'a mistake of the program: keep the key for as long as it is used',
  },
  keystore: {
    SOURCE_CONFIG_INVALID: 'correct `[keystore]`; the message names the option',
    HALF_UNREADABLE: 'mend what the message names (permission, daemon, command), then restart',
    HALF_CORRUPT: 'restore that half, or `vault-server recovery-kit restore`',
    HALF_FOREIGN:
      'give the halves of the server places of their own in `[keystore]`, see [Keys of another system](keys.md#keys-of-another-system)',
    HALF_NOT_WRITABLE: 'give the server the right to write there, or choose another source',
    HALF_FULL: '`vault-cli encryption.deleteInactiveKeys`, then repeat',
    HALF_CONFLICT: 'repeat; if it lasts, find out who else writes there',
    HALF_SHARED:
      'give each instance a place of its own, or a source that can compare and swap; see keys.md',
    HALF_WRITE_FAILED: 'mend what the message names, then repeat',
    HALF_READ_BACK_FAILED: 'do not rely on that place: check disk or XenStore, then repeat',
    APPEND_REFUSED: 'choose at least one source that can be written; see keys.md',
  },
  store: {
    RECORD_NOT_FOUND: 'read the list of ids again',
    RECORD_EXISTS: 'choose another id, or change the record that is there',
    UNIQUE_CONFLICT: 'change the record that holds the value (`holderId`), or choose another value',
    REVISION_CONFLICT: 'read the record again, then repeat; `update()` does so by itself',
    OUTCOME_UNKNOWN: 'read the record: is it as you wanted it, all is well; else repeat',
    RECORD_UNREADABLE: IN_OPERATIONS('Checking and mending'),
    RECORD_INVALID: 'correct the field that the message names',
    QUERY_INVALID: 'ask by fields of the definition',
    STATE_STALE: 'repeat; a rotation or migration just went by',
    DATABASE_DEGRADED: 'see the next table',
    DATABASE_CLOSED: 'open the database again',
    DATABASE_LOCKED: 'wait until the other process has finished, then repeat',
    REDIS_UNAVAILABLE: 'check that Redis runs and that `[redis]` names it; see redis.md',
    REDIS_REFUSED: 'do what the message says; for `NOPERM` see redis.md',
    OPERATION_REFUSED: 'the message says which condition is not met',
  },
  degraded: {
    encryptionFailed: IN_OPERATIONS('Credential database encryption failed'),
    decryptionFailed: IN_OPERATIONS('Credential database decryption failed'),
    migrationFailed: IN_OPERATIONS('Credential database migration failed'),
    oneHalf: IN_OPERATIONS('A half of the key is missing'),
    keyLoadingFailed: IN_OPERATIONS('Credential database decryption failed'),
    keysMissing: IN_OPERATIONS('A half of the key is missing'),
    foreignDatabase: IN_OPERATIONS('Redis was restored, emptied or replaced'),
    foreignRedis: IN_OPERATIONS('Redis belongs to another system'),
    newerLayout: 'run the version of vault-server that wrote the database, or a newer one',
    oppositeSetting: IN_OPERATIONS('Two servers with opposite settings'),
    redisUnusable: IN_OPERATIONS('Redis cannot be used'),
    startFailed: 'the `cause` of the log line says what happened',
  },
  backup: {
    BACKUP_PASSPHRASE_REQUIRED: 'add `passphrase=`',
    BACKUP_PASSPHRASE_TOO_SHORT: 'choose a longer one',
    BACKUP_PROTECTION_UNSAID:
      'add `passphrase=`; for a plain file that you know to be yours `allowUnprotected=true`',
    BACKUP_NOT_ENCRYPTED:
      'find out who replaced the file; for a plain file of your own give `allowUnprotected=true` and no passphrase',
    BACKUP_PASSPHRASE_NEEDED: 'add `passphrase=`',
    BACKUP_UNREADABLE: 'check passphrase and file; `gpg --decrypt` opens a whole one',
    BACKUP_REFUSED: 'the message names what; a backup of this server is always taken',
    BACKUP_RECORDS_REFUSED:
      'see what the rest would do with `dryRun=true skipInvalid=true`, then import with `skipInvalid=true`',
    BACKUP_NO_ADMINISTRATOR:
      '`user.create permission=admin email=… password=` with a name that the backup does not have, then repeat',
    BACKUP_INCOMPLETE: 'what the message says: it names the records; so does the log of the server',
    BACKUP_ENTRY_UNKNOWN: 'leave it out of `entries`',
    BACKUP_STORAGE_FAILED: 'make room in `datadir`, or check its permissions, then repeat',
    BACKUP_UNPROVEN: 'check the disk of `[backup] exportFolder`; the file was removed',
  },
  config: {
    CONFIG_NOT_FOUND: '`vault-server init`, or give `--config`',
    CONFIG_UNREADABLE: 'check path and permissions of the file that is named',
    CONFIG_SYNTAX: 'correct the line that is named',
    CONFIG_UNKNOWN: 'the message names the nearest right one; all are in configuration.md',
    CONFIG_TYPE: 'see configuration.md for type and range',
    CONFIG_CONFLICT: 'take one of the two out, or add the one that is needed',
    CONFIG_EXISTS: 'use it, or name another file',
  },
  ownRedis: {
    OWN_REDIS_MISSING: '`apt-get install redis-server util-linux`, or set `redis.url`',
    OWN_REDIS_FAILED: 'read `<datadir>/redis/redis.log`',
    OWN_REDIS_TIMEOUT: 'raise `redis.startTimeout` if it only takes long to load',
    OWN_REDIS_FOLDER: 'check `<datadir>/redis`: owner, permissions, room',
  },
  recoveryKit: {
    KIT_UNREADABLE:
      'look for the right passphrase; a kit for a public key is opened by its holder, with gpg',
    KIT_UNPROVEN: 'use the kit of the key that the message names; see keys.md',
    KIT_REFUSED: 'do what the message says',
  },
  cli: {
    USAGE: '`vault-cli <command> --help`',
    NOT_REGISTERED: '`vault-cli register <url> <user>`',
    INPUT_UNAVAILABLE:
      'run it on a terminal, give the secret as `name=-` on standard input, or as `name=@file`; a password is one line alone',
    CONFIG_UNUSABLE: 'the message says what is wrong with the file; `chmod 600` it',
    SERVER_UNREACHABLE: 'check address, scheme (`http://` for a server without TLS) and server',
    MESSAGE_TOO_LARGE: 'send less, or let the administrator set `limits.messageBytes`',
    CONNECTION_LOST: 'look whether the call was done before you repeat it',
    PROTOCOL_BROKEN: 'check that the URL is that of a vault-server',
    CALL_REFUSED: 'see the codes of the API above',
    FILE_UNUSABLE: 'see the message; `--force` replaces a file that is there',
    TRANSFER_FAILED: 'repeat it: no half file was left',
    INTERRUPTED: 'nothing',
  },
};

/** @returns {string} the text of docs/errors.md, tables not aligned */
export function errorDocument() {
  return `# Errors

<!-- Made by scripts/generate-error-docs.mjs from the tables of the packages; scripts/checks/check-errors.mjs compares. -->

Every error of the packages has a literal \`code\`, on which a program may branch. No message, cause or stack holds a stored
value, a passphrase or key material. What an operator meets is told at length in [operations.md](operations.md).

## vault-server: why it is degraded

\`GET /readyz\` says the reason, the log and \`vault-server status\` the line and the cause.

${rows(['reason', 'line in the log', 'what to do'], DEGRADED_MESSAGES, ADVICE.degraded)}

## API: JSON-RPC error codes

${apiRows()}

## vault-server: exit statuses

${statusRows(SERVER_STATUSES, 'when')}

## vault-cli: exit statuses

${statusRows(EXIT_STATUSES, 'meaning')}

## @vault/redis-store

${rows(['code', 'when', 'what to do'], STORE_ERRORS, ADVICE.store)}

## @vault/keystore

${rows(['code', 'when', 'what to do'], KEYSTORE_ERRORS, ADVICE.keystore)}

## @vault/crypto

${rows(['code', 'when', 'what to do'], CRYPTO_ERRORS, ADVICE.crypto)}

## vault-server: configuration, backup, own Redis, recovery kit

${rows(['code', 'when', 'what to do'], CONFIG_ERRORS, ADVICE.config)}

${rows(['code', 'when', 'what to do'], BACKUP_ERRORS, ADVICE.backup)}

${rows(['code', 'when', 'what to do'], OWN_REDIS_ERRORS, ADVICE.ownRedis)}

${rows(['code', 'when', 'what to do'], RECOVERY_KIT_ERRORS, ADVICE.recoveryKit)}

## vault-cli

${rows(['code', 'when', 'what to do'], CLI_ERRORS, ADVICE.cli)}
`;
}

/** A Markdown table. @param {string[]} head @param {string[][]} lines */
function table(head, lines) {
  const all = [head, head.map(() => '---'), ...lines];
  return all.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Codes with when and what to do; the two must name the same codes. */
function rows(head, when, advice) {
  const stray = Object.keys(advice).filter((code) => !Object.hasOwn(when, code));
  if (stray.length > 0) throw new Error(`advice for codes that do not exist: ${stray.join(', ')}`);
  return table(
    head,
    Object.entries(when).map(([code, text]) => {
      if (advice[code] === undefined) throw new Error(`no advice for ${code}`);
      return [`\`${code}\``, text, advice[code]];
    }),
  );
}

function apiRows() {
  return table(
    ['code', 'name', 'when', 'what to do', 'vault-cli exits with'],
    Object.entries(ERROR_CODES).map(([name, { code, when, advice }]) => {
      const { status } = EXIT_STATUSES[SERVER_ERRORS[name].exit];
      return [String(code), name, when, advice, String(status)];
    }),
  );
}

function statusRows(statuses, column) {
  return table(
    ['status', 'when'],
    Object.values(statuses).map((row) => [String(row.status), row[column]]),
  );
}
