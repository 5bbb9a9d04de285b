/** Plain configuration objects, as they come out of a file, checked field by field before any I/O. */
import { isAbsolute } from 'node:path';
import { KeystoreError } from './errors.js';
import { nearestName } from './nearest-name.js';

/** Kinds of fields: what they must be, in words and as a check. */
const FIELD_KINDS = {
  string: { expected: 'a string that is not empty', check: isText },
  absolutePath: {
    expected: 'an absolute path',
    check: (value: unknown) => isText(value) && isAbsolute(value) && !value.includes('\0'),
  },
  xenstorePath: {
    expected:
      'a XenStore path ([A-Za-z0-9/_@-], no // and no / at the end, at most 256 characters)',
    check: (value: unknown) =>
      isText(value) && value.length <= 256 && /^\/?[\w@-]+(\/[\w@-]+)*$/.test(value),
  },
  variableName: {
    expected: 'the name of an environment variable',
    check: isVariableName,
  },
  variableNames: {
    expected: 'a list of names of environment variables',
    check: (value: unknown) => Array.isArray(value) && value.every(isVariableName),
  },
  fileName: {
    expected: 'a file name without a folder',
    check: (value: unknown) => isText(value) && /^[^/\0]+$/.test(value) && !/^\.\.?$/.test(value),
  },
  commandLine: {
    expected: 'a list of strings: a program and its arguments (no shell reads it)',
    check: (value: unknown) =>
      Array.isArray(value) &&
      isText(value[0]) &&
      value.every((part) => typeof part === 'string' && !part.includes('\0')),
  },
  boolean: { expected: 'true or false', check: (value: unknown) => typeof value === 'boolean' },
  timeLimitMs: {
    expected: 'a whole number of milliseconds, 1 to 600000',
    check: (value: unknown) => isInteger(value, 1, 600_000),
  },
  exitStatus: {
    expected: 'an exit status, 1 to 255',
    check: (value: unknown) => isInteger(value, 1, 255),
  },
  iterations: {
    expected: 'a whole number, 100000 to 100000000',
    check: (value: unknown) => isInteger(value, 100_000, 100_000_000),
  },
  machineRecipe: {
    expected: '"parts" or "conexor"',
    check: (value: unknown) => value === 'parts' || value === 'conexor',
  },
  machineParts: {
    expected: 'a list of "machine-id", "hostname", "user", "os", each at most once',
    check: (value: unknown) =>
      Array.isArray(value) &&
      value.length > 0 &&
      new Set(value).size === value.length &&
      value.every((part) => ['machine-id', 'hostname', 'user', 'os'].includes(String(part))),
  },
} as const satisfies Record<
  string,
  { readonly expected: string; readonly check: (value: unknown) => boolean }
>;

type FieldKind = keyof typeof FIELD_KINDS;

/** A field of a source's configuration. */
export interface FieldRule {
  readonly kind: FieldKind;
  readonly isRequired?: boolean;
  /** One phrase for documentation, with unit and default. */
  readonly doc: string;
}

export type FieldRules = Readonly<Record<string, FieldRule>>;

/**
 * @param where names the configuration in messages: `halfA`
 * @throws KeystoreError `SOURCE_CONFIG_INVALID` naming the field, what was expected, and the nearest right name
 */
export function checkFields(
  config: Readonly<Record<string, unknown>>,
  rules: FieldRules,
  where: string,
): void {
  for (const name of Object.keys(config)) {
    if (name === 'source' || Object.hasOwn(rules, name)) continue;
    throw invalid(where, `unknown field "${name}"${suggestion(name, Object.keys(rules))}`);
  }
  for (const [name, rule] of Object.entries(rules)) {
    const value = config[name];
    const { expected, check } = FIELD_KINDS[rule.kind];
    if (value === undefined) {
      if (rule.isRequired === true) throw invalid(where, `"${name}" is missing: ${expected}`);
    } else if (!check(value)) {
      throw invalid(where, `"${name}" must be ${expected}, met ${kindOf(value)}`);
    }
  }
}

/** `: did you mean "x"? known are …` */
export function suggestion(wrong: string, known: readonly string[]): string {
  const nearest = nearestName(wrong, known);
  const guess = nearest === undefined ? '' : `, did you mean "${nearest}"?`;
  return `${guess} (known: ${known.join(', ')})`;
}

export function invalid(where: string, problem: string): KeystoreError {
  return new KeystoreError('SOURCE_CONFIG_INVALID', `${where}: ${problem}`);
}

/** Of a wrong value only its kind is said: somebody may have put the secret itself there. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'string') return `a string of ${value.length} characters`;
  return value === null ? 'null' : `a ${typeof value}`;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isVariableName(value: unknown): boolean {
  return isText(value) && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value);
}

function isInteger(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}
