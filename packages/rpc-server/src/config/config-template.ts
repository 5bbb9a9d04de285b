/** The commented configuration that `vault-server init` writes, made from the table of settings. */
import { formatDuration } from './duration.js';
import { settingOf } from './settings.js';
import type { SettingPath } from './settings.js';

export interface TemplateOptions {
  /** Absolute. */
  readonly datadir: string;
  /** `host:port`. */
  readonly listen: string;
  /** What is written for `keystore.halfA` and `halfB`; without one the line stays a comment. */
  readonly halfA?: Readonly<Record<string, unknown>>;
  readonly halfB?: Readonly<Record<string, unknown>>;
}

const HEAD = `# Configuration of vault-server. Every setting: docs/configuration.md, or vault-server settings.
# Lines that begin with # are comments: they show what holds without them.
`;

/** Sections in the order of the file, each with the settings that it shows. */
const SECTIONS: readonly (readonly [string, readonly SettingPath[]])[] = [
  ['', ['datadir']],
  ['http', ['http.listen', 'http.cert', 'http.key', 'http.allowPlaintext', 'http.allowedHosts']],
  [
    'redis',
    [
      'redis.encryptCredentialDatabase',
      'redis.url',
      'redis.cluster',
      'redis.sentinels',
      'redis.name',
      'redis.passwordFile',
      'redis.prefix',
    ],
  ],
  [
    'keystore',
    ['keystore.halfA', 'keystore.halfB', 'keystore.rotateAfter', 'keystore.rotateAutomatically'],
  ],
  [
    'backup',
    [
      'backup.recipientFile',
      'backup.passphraseFile',
      'backup.exportFolder',
      'backup.exportEvery',
      'backup.exportKeep',
    ],
  ],
  [
    'authentication',
    [
      'authentication.throttlingDelay',
      'authentication.defaultTokenValidity',
      'authentication.maxTokenValidity',
    ],
  ],
  ['log', ['log.level']],
];

/** Shown in comments for settings that have no default. */
const EXAMPLES: Partial<Record<SettingPath, string>> = {
  'http.cert': '"/etc/vault-server/cert.pem"',
  'http.key': '"/etc/vault-server/key.pem"',
  'http.allowedHosts': '["vault.example.org"]',
  'redis.url': '"redis://user:password@redis.example.org:6379/0"',
  'redis.cluster': '["redis-1.example.org:6379", "redis-2.example.org:6379"]',
  'redis.sentinels': '["sentinel-1.example.org:26379"]',
  'redis.name': '"mymaster"',
  'redis.passwordFile': '"/etc/vault-server/redis-password"',
  'keystore.halfA': '{ source = "xenstore", path = "vm-data/vault-encryption-key" }',
  'keystore.halfB': '{ source = "file", path = "…/vault-encryption-key" }',
  'backup.recipientFile': '"/etc/vault-server/backup-key.asc"',
  'backup.exportFolder': '"/var/backups/vault-server"',
  'backup.passphraseFile': '"/etc/vault-server/backup-passphrase"',
};

const TAIL = `
# Your own kind of credential: vault-cli apikey.add, apikey.get, … come from this.
# [collections.apikey]
# fields = { service = "string", owner = "string", key = "secret" }
# indexes = { service = "exact", byOwner = { fields = ["owner", "service"] } }
`;

/** How a value is written in TOML. */
export function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${key} = ${tomlValue(inner)}`);
    return `{ ${pairs.join(', ')} }`;
  }
  return typeof value === 'string' ? tomlString(value) : String(value);
}

/** A basic string. JSON escapes all that TOML wants escaped but DEL. */
function tomlString(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f');
}

/** Default of a setting as it is written in TOML; `undefined` when it has none. */
export function tomlDefault(path: SettingPath): string | undefined {
  const { kind, default: value } = settingOf(path);
  if (value === undefined) return undefined;
  return kind === 'duration' && typeof value === 'number'
    ? tomlValue(formatDuration(value))
    : tomlValue(value);
}

/** Text of the file: encryption on, everything else at its default. */
export function configTemplate(options: TemplateOptions): string {
  const chosen: Partial<Record<SettingPath, unknown>> = {
    datadir: options.datadir,
    'http.listen': options.listen,
    'redis.encryptCredentialDatabase': true,
    'keystore.halfA': options.halfA,
    'keystore.halfB': options.halfB,
  };
  const sections = SECTIONS.map(([section, paths]) => {
    const lines = paths.flatMap((path) => [
      `# ${settingOf(path).doc.replaceAll('`', '')}`,
      settingLine(path, chosen[path]),
    ]);
    return [...(section === '' ? [] : ['', `[${section}]`]), ...lines].join('\n');
  });
  return [HEAD, ...sections, TAIL].join('\n');
}

function settingLine(path: SettingPath, chosen: unknown): string {
  const name = path.split('.').at(-1) ?? path;
  if (chosen !== undefined) return `${name} = ${tomlValue(chosen)}`;
  return `# ${name} = ${EXAMPLES[path] ?? tomlDefault(path) ?? '""'}`;
}
