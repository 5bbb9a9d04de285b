/** docs/configuration.md, made from the table of settings: a test compares the file with it. */
import { tomlDefault } from './config-template.js';
import { environmentName, SETTING_PATHS, settingOf } from './settings.js';
import type { SettingPath } from './settings.js';

const HEAD = `# Configuration

<!-- Made from packages/rpc-server/src/config/settings.ts by scripts/generate-configuration-docs.mjs; a test compares. -->

\`vault-server\` reads one TOML file: the one that \`--config\` names, else \`/etc/vault-server/config.toml\`, else
\`$XDG_CONFIG_HOME/vault-server/config.toml\` (\`~/.config\` where the variable is not set). Without a file it refuses to start,
since a lost file must not switch encryption off. \`vault-server init\` writes a commented one, with encryption on, and never overwrites.

A variable of the environment overrides the file, an option of the command line (\`--datadir\`, \`--port\`) overrides both. In a variable,
lists are comma separated and tables are written as in TOML. Unknown names and wrong types are refused, with file, line and the
nearest right name. Relative paths start from the folder of the file. Durations are written \`"90d"\`, \`"2s"\`, \`"30 min"\`.

`;

const TAIL = `## [collections.name]

Your own kinds of credentials, beside the built-in collections; also more fields and indexes for those (but not for \`user\` and
\`token\`). Each gets the methods \`<name>.add\`, \`set\`, \`get\`, \`getAll\`, \`remove\` and \`reveal\`. A change of indexes begins
at the next start and goes on while the server serves: until a changed index is whole, a search by it reads the collection. Where two records
have one value in a new \`unique\` index, log and \`vault-server status\` name both, everything is served, and it is tried again by itself once one of them is
changed (\`vault-cli encryption.retry\`: at once); the indexes of before, at the next start, take it back. \`vault-server start --wait\` prints
\`ready\` only when it has ended. A change of partitions is made before the server serves; a change of fields makes the start look at all records of the collection, and one that
contradicts them leaves the server degraded, with collection, field and number in the log. Give all servers of one Redis the same: one that still runs with others is degraded
until it is restarted.

\`\`\`toml
[collections.apikey]
fields = { service = "string", owner = "string", key = "secret", note = { type = "string", optional = false } }
indexes = { service = "exact", byOwner = { fields = ["owner", "service"] } }
\`\`\`

| key | what |
| --- | --- |
| \`fields\` | name → type: \`string\`, \`number\`, \`boolean\`, \`json\`, \`secret\` (masked, never indexed), or a table with \`type\`, \`optional\` (default \`true\`) and \`destination\` (\`true\`: it says where the secrets of the record are sent, so who may not reveal changes it only together with them) |
| \`indexes\` | name → \`exact\` or \`unique\` (of the field of that name), or a table with \`kind\`, \`fields\`, \`normalisation\` (\`text\`, \`none\`), \`transform\` (\`emailDomain\`, \`lastFour\`) |
| \`partitions\` | 1 to 1024, default 1: spreads a large collection over a Redis Cluster; no \`unique\` index then |
| \`paddingBytes\` | 1 to 65 536, default 1: records are padded to a multiple, which hides the length of secrets |
| \`dropFields\` | \`true\`: values of fields that are gone, or do not fit their new type, are dropped by the next start, after the records were kept in a file of the data folder; default \`false\`: such a start is refused |

## Variables that are no settings

| variable | what |
| --- | --- |
| \`VAULT_ADMIN_EMAIL\`, \`VAULT_ADMIN_PASSWORD\` | name and password of the first administrator, for an unattended first start |
| \`VAULT_MASTER_KEY\`, \`VAULT_MASTER_KEY_PREVIOUS\` | what the half source \`env\` reads |
| \`DEBUG\` | \`vault:*\`: debug lines of the log, by namespace |
`;

/** The whole document. */
export function settingsDocument(): string {
  const sections = new Map<string, SettingPath[]>();
  for (const path of SETTING_PATHS) {
    const section = path.includes('.') ? path.slice(0, path.indexOf('.')) : '';
    sections.set(section, [...(sections.get(section) ?? []), path]);
  }
  const texts = [...sections].map(([section, paths]) => {
    const title = section === '' ? '## Top level' : `## [${section}]`;
    return `${title}\n\n| setting | default | variable | what |\n| --- | --- | --- | --- |\n${paths.map(row).join('\n')}\n`;
  });
  return HEAD + [...texts, TAIL].join('\n');
}

function row(path: SettingPath): string {
  const { doc, choices, min, max, kind, unit } = settingOf(path);
  const range =
    kind === 'integer' && min !== undefined && max !== undefined
      ? ` ${min} to ${max}${unit === undefined || unit === 'count' ? '' : ` ${unit}`}.`
      : '';
  const options = choices === undefined ? '' : ` One of ${choices.join(', ')}.`;
  const standard = tomlDefault(path);
  const shown = standard === undefined ? '' : `\`${standard}\``;
  return `| \`${path.split('.').at(-1) ?? path}\` | ${shown} | \`${environmentName(path)}\` | ${doc}${range}${options} |`;
}
