/** From what TOML or an environment variable says to the value of a setting. */
import { resolve } from 'node:path';
import { parse } from 'smol-toml';
import { formatDuration, parseDuration } from './duration.js';
import { SettingProblem } from './errors.js';
import type { Setting, SettingKind, SettingValues } from './settings.js';

const EXPECTED: Readonly<Record<SettingKind, string>> = {
  string: 'a string',
  boolean: 'true or false',
  integer: 'an integer',
  duration: 'a duration such as "90d", "2s" or "30 min"',
  path: 'a path',
  strings: 'an array of strings',
  table: 'an inline table such as { source = "file", path = "…" }',
};

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'object') return 'a table';
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a number';
  return typeof value === 'bigint' ? 'an integer' : `a ${typeof value}`;
}

const READERS: {
  readonly [Kind in SettingKind]: (
    value: unknown,
    folder: string,
  ) => SettingValues[Kind] | undefined;
} = {
  string: (value) => (typeof value === 'string' ? value : undefined),
  boolean: (value) => (typeof value === 'boolean' ? value : undefined),
  integer: (value) => (Number.isSafeInteger(value) ? Number(value) : undefined),
  duration: (value) => (typeof value === 'string' ? parseDuration(value) : undefined),
  path: (value, folder) =>
    typeof value === 'string' && value !== '' ? resolve(folder, value) : undefined,
  strings: (value) =>
    Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined,
  table: (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
      ? (value as Record<string, unknown>)
      : undefined,
};

/**
 * Checks one value against its row.
 * @param folder what a relative path starts from
 * @throws {SettingProblem} naming what was expected and the type that was met, never the value
 */
export function readSetting(
  path: readonly string[],
  setting: Setting,
  value: unknown,
  folder: string,
): SettingValues[SettingKind] {
  const read = READERS[setting.kind](value, folder);
  const name = path.join('.');
  if (read === undefined) {
    const met =
      typeof value === 'string' && setting.kind !== 'integer' && setting.kind !== 'boolean'
        ? 'another text'
        : typeName(value);
    throw new SettingProblem(
      'CONFIG_TYPE',
      path,
      `"${name}" is ${EXPECTED[setting.kind]}, met ${met}`,
    );
  }
  if (setting.choices !== undefined && !setting.choices.includes(read as string)) {
    throw new SettingProblem(
      'CONFIG_TYPE',
      path,
      `"${name}" is one of ${setting.choices.join(', ')}`,
    );
  }
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = setting;
  if (typeof read === 'number' && (read < min || read > max)) {
    throw new SettingProblem('CONFIG_TYPE', path, `"${name}" is ${rangeText(setting)}`);
  }
  return read;
}

function rangeText({ kind, min, max }: Setting): string {
  const show = (value: number) => (kind === 'duration' ? formatDuration(value) : String(value));
  if (min !== undefined && max !== undefined) return `from ${show(min)} to ${show(max)}`;
  return min === undefined ? `${show(max ?? 0)} at most` : `${show(min)} at least`;
}

/** From the text of a variable to what TOML would give: lists are comma separated, tables are TOML. */
const FROM_TEXT: { readonly [Kind in SettingKind]?: (text: string) => unknown } = {
  boolean: (text) => ({ true: true, 1: true, false: false, 0: false })[text.toLowerCase()] ?? text,
  integer: (text) => (/^-?\d+$/.test(text) ? Number(text) : text),
  strings: (text) => (text === '' ? [] : text.split(',').map((item) => item.trim())),
  table: (text) => {
    try {
      return parse(`value = ${text}`)['value'];
    } catch {
      return text;
    }
  },
};

/** What the text of an environment variable or a command line option would be in TOML. */
export function fromEnvironment({ kind }: Setting, text: string): unknown {
  return FROM_TEXT[kind]?.(text) ?? text;
}
