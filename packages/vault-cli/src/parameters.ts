import { UsageError } from './errors.js';

/** What one `name=value` of the command line asks for. */
export type ParameterSource =
  | { readonly kind: 'literal'; readonly value: unknown }
  /** `name=-`: the next line of standard input (asked for, where that is a terminal). */
  | { readonly kind: 'line' }
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
 * and a name may hold anything but `=`. Ours besides: `-` and `?`, see {@link ParameterSource}; for
 * these two characters themselves write `json:"-"` and `json:"?"`.
 *
 * @throws UsageError for an argument without `=`, a name given twice, or bad JSON. Values are not shown.
 */
export function parseCallArguments(texts: readonly string[]): CallArguments {
  const parameters = new Map<string, ParameterSource>();
  let transferPath: string | undefined;
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
    parameters.set(name, parseParameter(name, value));
  }
  return { parameters, transferPath };
}

function parseParameter(name: string, text: string): ParameterSource {
  if (text === '-') return { kind: 'line' };
  if (text === '?' || (text === '' && ASKED_WHEN_EMPTY.test(name))) return { kind: 'prompt' };
  return { kind: 'literal', value: parseLiteral(name, text) };
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
