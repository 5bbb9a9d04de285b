/**
 * Every setting of the server, in one table. From a row come the type of the value, its check, its
 * default, the environment variable that overrides it, and its line in docs/configuration.md.
 *
 * The two settings with a shape of their own, `keystore.halfA`/`halfB` and `[collections.<name>]`,
 * are read by `custody-config.ts` and `collections-config.ts`.
 */
import { LIMIT_SETTINGS } from './limit-settings.js';

/** How a setting is written in TOML, and what it becomes. */
export interface SettingValues {
  readonly string: string;
  readonly boolean: boolean;
  readonly integer: number;
  /** `"90d"`, `"2s"`, `"30 min"`: becomes milliseconds. */
  readonly duration: number;
  /** A path; relative to the folder of the configuration file, becomes absolute. */
  readonly path: string;
  readonly strings: readonly string[];
  /** An inline table, kept as it is. */
  readonly table: Readonly<Record<string, unknown>>;
}
export type SettingKind = keyof SettingValues;

export interface Setting {
  readonly kind: SettingKind;
  /** As it would be written in TOML, or a number of ms for a duration. Absent: no value until one is given. */
  readonly default?: string | number | boolean | readonly string[];
  readonly doc: string;
  readonly unit?: string;
  /** Lowest number taken; for durations in milliseconds. */
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  /** Never shown by any command. */
  readonly isSecret?: boolean;
}

const BASE_SETTINGS = {
  datadir: {
    kind: 'path',
    default: '/var/lib/vault-server/data',
    doc: 'Folder of the server: half B, own Redis, migration backups, local witness. Made with mode 0700.',
  },
  'http.listen': {
    kind: 'string',
    default: '127.0.0.1:7400',
    doc: 'Address and port. Anything but loopback needs `cert` and `key`, or `allowPlaintext`.',
  },
  'http.recoveryPort': {
    kind: 'integer',
    default: 7401,
    min: 0,
    max: 65_535,
    doc: 'Port of 127.0.0.1 that recovery mode is reached at, while it lasts; 0 is any free one. Let no proxy lead there. Where another program has it, only the local socket leads in.',
  },
  'http.cert': { kind: 'path', doc: 'PEM file with the TLS certificate and its chain.' },
  'http.key': {
    kind: 'path',
    doc: 'PEM file with the private key of the certificate: mode 0400 or 0600; where root owns it, a group may read it (0640).',
  },
  'http.allowPlaintext': {
    kind: 'boolean',
    default: false,
    doc: 'Listen beyond loopback without TLS: only behind a proxy that speaks TLS.',
  },
  'http.allowedHosts': {
    kind: 'strings',
    default: [],
    doc: 'Names that clients may use for this server in `Host`, beside the address it listens on and loopback names.',
  },
  'http.allowedOrigins': {
    kind: 'strings',
    default: [],
    doc: 'Web origins that may open the API, beside the server’s own.',
  },
  'http.trustedProxies': {
    kind: 'strings',
    default: [],
    doc: 'Addresses and networks (`10.0.0.0/8`) of reverse proxies whose `X-Forwarded-For` or `Forwarded` says who the client is. From others these headers are not believed.',
  },
  'http.socket': {
    kind: 'path',
    doc: 'Unix socket, mode 0600, on which the API is served too, without TLS and past the limits on sockets: the way in of this machine’s administrator. Absent: `<datadir>/vault.sock`.',
  },
  'redis.encryptCredentialDatabase': {
    kind: 'boolean',
    doc: '`true` encrypts the database at the next start, `false` decrypts it. Absent: one that was made encrypted, or is pinned, stays so, with a warning; any other is plaintext.',
  },
  'redis.url': {
    kind: 'string',
    doc: '`redis://user:password@host:port/db`, `rediss://` for TLS. Absent, as are the next three: the server runs its own Redis.',
    isSecret: true,
  },
  'redis.socket': { kind: 'path', doc: 'Unix socket of a Redis.' },
  'redis.cluster': { kind: 'strings', doc: 'Some nodes of a Redis Cluster, each `host:port`.' },
  'redis.sentinels': { kind: 'strings', doc: 'Sentinels, each `host:port`; with `name`.' },
  'redis.name': { kind: 'string', doc: 'Name of the master that the sentinels watch.' },
  'redis.username': { kind: 'string', doc: 'ACL user of Redis.' },
  'redis.passwordFile': {
    kind: 'path',
    doc: 'File, closed to group and others, whose one line is the password of Redis.',
  },
  'redis.sentinelPasswordFile': {
    kind: 'path',
    doc: 'File, closed to group and others, whose one line is the password of the sentinels.',
  },
  'redis.database': {
    kind: 'integer',
    min: 0,
    max: 65_535,
    doc: 'Number of the database; where absent, that of the URL or 0. Not with a cluster.',
  },
  'redis.prefix': {
    kind: 'string',
    default: 'vault',
    doc: 'Beginning of every key, so that several databases share one Redis.',
  },
  'redis.tls': {
    kind: 'boolean',
    default: false,
    doc: 'Speak TLS to Redis; the next four say how.',
  },
  'redis.tlsCa': {
    kind: 'path',
    doc: 'PEM file of the authority that signed Redis’ certificate; the system’s where absent.',
  },
  'redis.tlsCert': { kind: 'path', doc: 'PEM file of the client certificate.' },
  'redis.tlsKey': {
    kind: 'path',
    doc: 'PEM file of the client certificate’s private key, as closed as `http.key`.',
  },
  'redis.tlsServerName': {
    kind: 'string',
    doc: 'Name to expect in Redis’ certificate, where it is not the host’s.',
  },
  'redis.server': {
    kind: 'string',
    default: 'redis-server',
    doc: 'Program that is run as the server’s own Redis.',
  },
  'redis.startTimeout': {
    kind: 'duration',
    default: '10m',
    min: 1000,
    doc: 'How long the server’s own Redis may take to load its data.',
  },
  'keystore.halfA': {
    kind: 'table',
    doc: 'Where half A lives: `{ source = "xenstore", path = "…" }`. Absent: XenStore where one answers, else `machine`.',
  },
  'keystore.halfB': {
    kind: 'table',
    doc: 'Where half B lives. Absent: the file `<datadir>/vault-encryption-key`.',
  },
  'keystore.rotateAfter': {
    kind: 'duration',
    default: '90d',
    min: 1000,
    doc: 'Age of the active key after which log, status and metrics say that a rotation is due.',
  },
  'keystore.rotateAutomatically': {
    kind: 'boolean',
    default: false,
    doc: 'Rotate a key that is due without being asked, while the server serves. Needs `rotateAfter` of a day or more.',
  },
  'keystore.deletionGrace': {
    kind: 'duration',
    default: '7d',
    min: 60_000,
    doc: 'How long a key whose halves others may share stays condemned before a second deletion removes it.',
  },
  'keystore.checkEvery': {
    kind: 'duration',
    default: '1m',
    min: 1000,
    doc: 'How often the server reads the halves again, to see that those of the keys in use still stand.',
  },
  'backup.recipientFile': {
    kind: 'path',
    doc: 'OpenPGP public key: the migration backup and scheduled exports are encrypted to it.',
  },
  'backup.passphraseFile': {
    kind: 'path',
    doc: 'File, closed to group and others, whose one line (12 characters at least) encrypts the migration backup and scheduled exports; unused where there is a recipient.',
  },
  'backup.exportFolder': {
    kind: 'path',
    doc: 'Folder for scheduled exports of the configuration (gzip inside OpenPGP). Absent: none are made.',
  },
  'backup.exportEvery': {
    kind: 'duration',
    default: '1d',
    min: 60_000,
    doc: 'Time from one scheduled export to the next.',
  },
  'backup.exportKeep': {
    kind: 'integer',
    default: 14,
    min: 1,
    max: 100_000,
    doc: 'Newest scheduled exports that are kept.',
  },
  'log.level': {
    kind: 'string',
    default: 'info',
    choices: ['debug', 'info', 'warn', 'error'],
    doc: 'Lowest level written to standard error. `DEBUG=vault:*` adds debug lines by namespace.',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export const SETTINGS = { ...BASE_SETTINGS, ...LIMIT_SETTINGS };

export type SettingPath = keyof typeof SETTINGS;

/** The value that a row gives: with `undefined` where the row has no default. */
type ValueOf<Row extends Setting> = Row extends { readonly default: unknown }
  ? SettingValues[Row['kind']]
  : SettingValues[Row['kind']] | undefined;

/** All settings by path: `settings['http.listen']`. */
export type Settings = { readonly [Path in SettingPath]: ValueOf<(typeof SETTINGS)[Path]> };

export const SETTING_PATHS = Object.keys(SETTINGS) as SettingPath[];

/** `http.allowPlaintext` → `VAULT_HTTP_ALLOW_PLAINTEXT`. */
export function environmentName(path: string): string {
  const snake = path.replaceAll('.', '_').replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2');
  return `VAULT_${snake.toUpperCase()}`;
}

/** The row of a path, seen as the general shape. */
export function settingOf(path: SettingPath): Setting {
  return SETTINGS[path];
}
