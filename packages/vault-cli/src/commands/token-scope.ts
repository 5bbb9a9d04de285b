/** Options that narrow what a new token may do. */
import type { TokenScope } from '@vault/rpc-server/protocol';
import type { Options } from 'yargs';

export const SCOPE_OPTIONS = {
  methods: {
    type: 'string',
    requiresArg: true,
    description: 'The token may call only these methods: server.*,remote.get (* is any)',
  },
  collections: {
    type: 'string',
    requiresArg: true,
    description: 'The token has only these collections: server,remote',
  },
  readOnly: { type: 'boolean', description: 'The token changes nothing' },
  mayReveal: {
    type: 'boolean',
    description: 'The token shows secrets: needed beside another one of these options',
  },
  mayCreateTokens: {
    type: 'boolean',
    description: 'The token creates tokens, with no more than it may itself',
  },
} as const satisfies Record<string, Options>;

interface ScopeArguments {
  readonly methods?: string | undefined;
  readonly collections?: string | undefined;
  readonly readOnly?: boolean | undefined;
  readonly mayReveal?: boolean | undefined;
  readonly mayCreateTokens?: boolean | undefined;
}

function listed(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

/** @returns `undefined` where none of the options was given */
export function scopeOf({
  methods,
  collections,
  ...flags
}: ScopeArguments): TokenScope | undefined {
  const { readOnly, mayReveal, mayCreateTokens } = flags;
  const scope = {
    ...(methods === undefined ? {} : { methods: listed(methods) }),
    ...(collections === undefined ? {} : { collections: listed(collections) }),
    ...(readOnly === undefined ? {} : { readOnly }),
    ...(mayReveal === undefined ? {} : { mayReveal }),
    ...(mayCreateTokens === undefined ? {} : { mayCreateTokens }),
  };
  return Object.keys(scope).length === 0 ? undefined : scope;
}
