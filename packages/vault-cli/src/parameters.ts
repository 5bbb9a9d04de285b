import { UsageError } from './errors.js';

/** What one `name=value` of the command line asks for. */
export type ParameterSource =
  | { readonly kind: 'literal'; readonly value: unknown }
  /** `name=-`: all of standard input (asked for, where that is a terminal). One parameter at most. */
  | { readonly kind: 'input' }
  /** `name=@path`: all of a file. */
  | { readonly kind: 'file'; readonly path: string }
  /** `name=?`, or nothing after `passphrase=` and `password=`: ask on the terminal, without echo. */
  | { readonly kind: 'prompt' };

export interface CallArguments {
  readonly parameters: ReadonlyMap<string, ParameterSource>;
  /** From `@=path`: the local file of a transfer, `-` for standard input or output. */
  readonly transferPath: string | undefined;
}

/** Names for which an empty value is never meant: nobody wants an empty passphrase without knowing. */
const ASKED_WHEN_EMPTY = /(password|passphrase)$/i;
const LITERALS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
]);

/**
 * Reads `name=value …` as xo-cli does: `a=1` is the string `1`, `b=true` a boolean, `c=json:[1]` JSON,
 * and a name may hold anything but `=`. Ours besides: `-`, `?` and `@path`, see {@link ParameterSource}; for
 * the first two themselves write `json:"-"` and `json:"?"`, for a text that begins with `@` write that twice.
 *
 * @throws UsageError for an argument without `=`, a name given twice, two values from standard input, or bad
 * JSON. Values are not shown.
 */
export function parseCallArguments(texts: readonly string[]): CallArguments {
  const parameters = new Map<string, ParameterSource>();
  let transferPath: string | undefined;
  let inputName: string | undefined;
  for (const [position, text] of texts.entries()) {
    const at = text.indexOf('=');
    // The argument may be a secret that lost its name, so only an option is repeated.
    if (at < 1) throw new UsageError(`${describe(text, position)}: expected name=value`);
    const name = text.slice(0, at);
    const value = text.slice(at + 1);
    if (name === '@') {
      if (value === '')
        throw new UsageError('@=: expected a path, or - for standard input or output');
      transferPath = value;
      continue;
    }
    if (parameters.has(name)) throw new UsageError(`${name} is given twice`);
    const parameter = parseParameter(name, value);
    if (parameter.kind === 'input') {
      if (inputName !== undefined) {
        throw new UsageError(
          `${inputName} and ${name} cannot both be standard input, which is one value as a whole`,
          `give one of them as ${name}=@file`,
        );
      }
      inputName = name;
    }
    parameters.set(name, parameter);
  }
  return { parameters, transferPath };
}

function parseParameter(name: string, text: string): ParameterSource {
  if (text === '-') return { kind: 'input' };
  if (text === '?' || (text === '' && ASKED_WHEN_EMPTY.test(name))) return { kind: 'prompt' };
  if (text.startsWith('@@')) return { kind: 'literal', value: text.slice(1) };
  if (text.startsWith('@')) return { kind: 'file', path: filePath(name, text.slice(1)) };
  return { kind: 'literal', value: parseLiteral(name, text) };
}

function filePath(name: string, path: string): string {
  if (path === '') throw new UsageError(`${name}=@: expected a path`, `the text @ is ${name}=@@`);
  if (path !== '-') return path;
  throw new UsageError(`${name}=@- has no meaning`, `standard input is ${name}=-`);
}

/** The value of `name=text` where nothing is asked for: a string, a boolean, or JSON after `json:`. */
export function parseLiteral(name: string, text: string): unknown {
  if (LITERALS.has(text)) return LITERALS.get(text);
  if (!text.startsWith('json:')) return text;
  try {
    return JSON.parse(text.slice('json:'.length));
  } catch {
    // The parser's message quotes the text, which may be a secret.
    throw new UsageError(`${name}: what follows json: is not JSON`);
  }
}

function describe(text: string, position: number): string {
  return text.startsWith('-') ? text : `argument ${position + 1} after the method`;
}
