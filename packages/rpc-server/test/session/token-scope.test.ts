import { describe, expect, test } from '@jest/globals';
import type { TokenScope } from '../../src/protocol.js';
import { assertInScope, narrowed, scopeOf } from '../../src/session/token-scope.js';
import type { Effect } from '../../src/session/token-scope.js';

function isAllowed(scope: TokenScope | undefined, name: string, effect: Effect): boolean {
  const [namespace = ''] = name.split('.');
  const collection = namespace === 'xo' ? 'every' : namespace === 'system' ? undefined : namespace;
  const aliases = name === 'remote.add' ? ['remote.create'] : [];
  const method = { name, aliases, permission: 'read', effect, collection };
  try {
    assertInScope({ tokenId: 'a token', scope }, method);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== 'UNAUTHORIZED') throw error;
    return false;
  }
}

test.each<[string, TokenScope | undefined, string, Effect, boolean]>([
  ['none', undefined, 'server.set', 'changes', true],
  ['none', undefined, 'server.reveal', 'reveals', true],
  ['none', undefined, 'token.create', 'creates tokens', false],
  ['read-only', { readOnly: true }, 'server.get', 'reads', true],
  ['read-only', { readOnly: true }, 'server.set', 'changes', false],
  ['read-only', { readOnly: true }, 'server.reveal', 'reveals', false],
  ['reveal', { readOnly: true, mayReveal: true }, 'server.reveal', 'reveals', true],
  ['a namespace', { methods: ['server.*'] }, 'server.set', 'changes', true],
  ['a namespace', { methods: ['server.*'] }, 'servers.set', 'changes', false],
  ['a verb', { methods: ['*.get'] }, 'server.get', 'reads', true],
  ['a verb', { methods: ['*.get'] }, 'server.getAll', 'reads', false],
  ['an alias', { methods: ['remote.create'] }, 'remote.add', 'changes', true],
  ['a collection', { collections: ['server'] }, 'server.set', 'changes', true],
  ['a collection', { collections: ['server'] }, 'remote.get', 'reads', false],
  ['a collection', { collections: ['server'] }, 'user.set', 'changes', false],
  ['a collection', { collections: ['server'] }, 'system.importConfig', 'changes', false],
  ['a collection', { collections: ['server'] }, 'xo.getAllObjects', 'reads', true],
  ['tokens', { mayCreateTokens: true }, 'token.create', 'creates tokens', true],
  ['tokens', { mayCreateTokens: true }, 'server.reveal', 'reveals', false],
  ['one that cannot be read', scopeOf('x'), 'server.get', 'reads', false],
  ['a list that cannot be read', scopeOf({ methods: 'x' }), 'server.get', 'reads', false],
  ['a flag that cannot be read', scopeOf({ readOnly: 'x' }), 'server.set', 'changes', false],
])('scope %s %j: %s, which %s: %s', (_, scope, name, effect, expected) => {
  expect(isAllowed(scope, name, effect)).toBe(expected);
});

test('does not concern a sign-in by password, nor what concerns only the connection', () => {
  const method = { name: 'session.signOut', aliases: [], collection: undefined } as const;
  const scope = { methods: ['server.get'] };
  const signOut = { ...method, permission: 'none', effect: 'session' } as const;
  expect(() => assertInScope({ tokenId: 'a', scope }, signOut)).not.toThrow();
  const create = { ...method, permission: 'none', effect: 'creates tokens' } as const;
  expect(() => assertInScope({ tokenId: undefined }, create)).not.toThrow();
});

describe('what a token creates', () => {
  const PARENT = {
    methods: ['server.*', '*.get'],
    collections: ['server', 'remote'],
    readOnly: true,
    mayCreateTokens: true,
  } as const;

  test('has what the parent has, but for grants, where nothing is said', () => {
    const { mayCreateTokens: _, ...rest } = PARENT;
    expect(narrowed(PARENT, {})).toEqual(rest);
    expect(narrowed(PARENT, undefined)).toEqual(PARENT);
  });

  test('has less where less is said', () => {
    const less = { methods: ['server.get', 'remote.get'], collections: ['server'] };
    expect(narrowed(PARENT, less)).toEqual({ ...less, readOnly: true });
  });

  test.each([
    [{ methods: ['*.set'] }],
    [{ methods: ['*.*'] }],
    [{ collections: ['server', 'user'] }],
    [{ readOnly: false }],
    [{ mayReveal: true }],
  ])('is refused with more: %j', (scope) => {
    expect(() => narrowed(PARENT, scope)).toThrow('invalid parameters');
  });
});
