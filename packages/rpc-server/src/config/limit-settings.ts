/**
 * The `[limits]` section, and the limits that stand in `[authentication]`, made from the
 * table of limits that the faces of the server keep. A limit in milliseconds is written as a
 * duration, so `transferLifetimeMs` is the setting `limits.transferLifetime`.
 */
import { LIMITS } from '../limits.js';
import type { LimitName, Limits } from '../limits.js';

/** Limits that operators know from Xen Orchestra's `[authentication]`, and what belongs with them. */
type AuthenticationLimit =
  | 'throttlingDelay'
  | 'throttledWait'
  | 'guessesPerName'
  | 'guessInterval'
  | 'otpGuesses'
  | 'otpGuessInterval'
  | 'defaultTokenValidity'
  | 'maxTokenValidity';
const AUTHENTICATION_LIMITS: ReadonlySet<string> = new Set<AuthenticationLimit>([
  'throttlingDelay',
  'throttledWait',
  'guessesPerName',
  'guessInterval',
  'otpGuesses',
  'otpGuessInterval',
  'defaultTokenValidity',
  'maxTokenValidity',
]);

type Stem<Name extends LimitName> = Name extends `${infer Duration}Ms` ? Duration : Name;
type LimitPath<Name extends LimitName> =
  Stem<Name> extends AuthenticationLimit ? `authentication.${Stem<Name>}` : `limits.${Stem<Name>}`;

type LimitSettings = {
  readonly [Name in LimitName as LimitPath<Name>]: {
    readonly kind: Name extends `${string}Ms` ? 'duration' : 'integer';
    readonly default: number;
    readonly doc: string;
    readonly unit: string;
    readonly min: number;
    readonly max: number;
  };
};

function pathOf(name: string): string {
  const stem = name.endsWith('Ms') ? name.slice(0, -2) : name;
  return `${AUTHENTICATION_LIMITS.has(stem) ? 'authentication' : 'limits'}.${stem}`;
}

export const LIMIT_SETTINGS = Object.fromEntries(
  Object.entries(LIMITS).map(([name, { default: standard, unit, min, max, description }]) => [
    pathOf(name),
    {
      kind: unit === 'ms' ? 'duration' : 'integer',
      default: standard,
      doc: `${description.charAt(0).toUpperCase()}${description.slice(1)}.`,
      unit,
      min,
      max,
    },
  ]),
) as LimitSettings;

/** The values in force, for the faces of the server. */
export function limitsOf(settings: { readonly [path: string]: unknown }): Limits {
  const values = Object.keys(LIMITS).map((name) => [name, settings[pathOf(name)]] as const);
  return Object.fromEntries(values) as Limits;
}
