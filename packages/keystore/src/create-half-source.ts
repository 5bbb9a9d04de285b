/** From a plain configuration object to a half source. */
import { HALF_SOURCE_NAMES } from './half-source.js';
import type { HalfSource, HalfSourceName } from './half-source.js';
import { checkFields, invalid, suggestion } from './source-config.js';
import { SOURCE_TABLE } from './source-table.js';
import type { SourceEnvironment, SourceRow } from './source-table.js';

/**
 * @param config `{ source: 'file', path: '…' }`: fields as {@link SOURCE_TABLE} says; nothing is believed of it
 * @param environment what the source needs of the process
 * @param where names the configuration in messages; default `half`
 * @throws KeystoreError `SOURCE_CONFIG_INVALID`; does no I/O
 */
export function createHalfSource(
  config: unknown,
  environment: SourceEnvironment,
  where = 'half',
): HalfSource {
  if (!isTable(config)) {
    throw invalid(where, 'must be a table like { source = "file", path = "…" }');
  }
  const name = config['source'];
  if (!isSourceName(name)) {
    const met = typeof name === 'string' ? `unknown source "${name}"` : '"source" is missing';
    const wrong = typeof name === 'string' ? name : '';
    throw invalid(where, `${met}${suggestion(wrong, HALF_SOURCE_NAMES)}`);
  }
  checkFields(config, SOURCE_TABLE[name].fields, where);
  // checkFields has just compared every field with the row that its type is written for.
  const row = SOURCE_TABLE[name] as SourceRow<unknown>;
  const { source: _source, ...fields } = config;
  return row.create(fields, environment, where);
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSourceName(name: unknown): name is HalfSourceName {
  return HALF_SOURCE_NAMES.some((known) => known === name);
}
