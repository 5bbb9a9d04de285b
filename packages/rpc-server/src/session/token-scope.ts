/**
 * What a token may do of what its user may. A token without a scope may all of it but create tokens;
 * one with a scope only what the scope leaves, and it reveals nothing and creates no tokens unless the
 * scope says so, nor gives rights to users. A token that may create tokens creates none with more than
 * it has itself.
 */
import type { JsonObject, TokenScope } from '../protocol.js';
import { ApiError, invalidParameter } from '../rpc/api-error.js';

/**
 * What a method does: `session` concerns only the connection, `reads` gives no secret, `reveals`
 * gives secrets, `creates tokens`, and `changes` is all else.
 */
export type Effect = 'session' | 'reads' | 'reveals' | 'changes' | 'creates tokens';

/** What is asked of a method, as its row in the table says. */
export interface ScopedMethod {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly permission: string | null;
  readonly effect: Effect;
  /** Whose records it is about; `every`: of many, and it leaves out those that the scope does. */
  readonly collection: string | undefined;
}

/** Who calls: `tokenId` is `undefined` after a sign-in by password. */
export interface ScopeHolder {
  readonly tokenId: string | undefined;
  readonly scope?: TokenScope | undefined;
}

const WORD = '(?:\\*|[A-Za-z][A-Za-z0-9]*)';
/** `server.*`, `*.get`, `server.get`. */
export const METHOD_PATTERN = `^${WORD}\\.${WORD}$`;

function isCovered(pattern: string, by: string): boolean {
  const parts = by.split('.');
  return pattern.split('.').every((part, at) => parts[at] === '*' || parts[at] === part);
}

function areNamed({ methods }: TokenScope, names: readonly string[]): boolean {
  if (methods === undefined) return true;
  return methods.some((pattern) => names.some((name) => isCovered(name, pattern)));
}

/** Whether the scope has the collection; without one, all are in it. */
export function hasCollection(scope: TokenScope | undefined, collection: string): boolean {
  return scope?.collections?.includes(collection) ?? true;
}

/** @returns why the method is outside of the scope; `undefined` when it is not */
function refusal(scope: TokenScope, method: ScopedMethod): string | undefined {
  const { name, aliases, effect, collection } = method;
  if (scope.readOnly === true && effect === 'changes') return 'it is read-only';
  if (effect === 'reveals' && scope.mayReveal !== true) return 'it may not reveal';
  if (!areNamed(scope, [name, ...aliases])) return `its methods have no ${name}`;
  if (scope.collections === undefined || collection === 'every') return undefined;
  const isIn = collection !== undefined && hasCollection(scope, collection);
  return isIn ? undefined : `its collections do not allow ${name}`;
}

/** @throws {ApiError} UNAUTHORIZED with what the scope lacks */
export function assertInScope({ tokenId, scope }: ScopeHolder, method: ScopedMethod): void {
  const { permission, effect } = method;
  if (tokenId === undefined || permission === null || effect === 'session') return;
  const reason =
    effect === 'creates tokens'
      ? scope?.mayCreateTokens === true
        ? undefined
        : 'a token creates no tokens unless its scope has mayCreateTokens: sign in by password'
      : scope && refusal(scope, method);
  if (reason !== undefined) throw outOfScope(method.name, reason);
}

function outOfScope(method: string, reason: string): ApiError {
  return new ApiError('UNAUTHORIZED', `not enough permissions of the token: ${reason}`, {
    permission: 'scope',
    object: { method, reason },
  });
}

/**
 * Whoever makes users, or changes what others may, can make one that may all, and sign in as it: so of
 * scopes only one that withholds neither secrets nor tokens leaves that.
 * @throws {ApiError} UNAUTHORIZED with what the scope lacks
 */
export function assertMayGrant({ scope }: ScopeHolder, name: string): void {
  if (scope === undefined || (scope.mayReveal === true && scope.mayCreateTokens === true)) return;
  throw outOfScope(name, `${name} gives rights: that takes mayReveal and mayCreateTokens`);
}

/** Whether the user of the connection is told of changes; {@link hasCollection} says of which. */
export function mayWatch({ scope }: ScopeHolder): boolean {
  return scope === undefined || areNamed(scope, ['xo.getAllObjects']);
}

function tooWide(field: keyof TokenScope): ApiError {
  return invalidParameter(`scope/${field}`, 'must NOT allow more than the token that creates it');
}

/**
 * The scope of a token that another one creates: what is not said is as in the parent's.
 * @throws {ApiError} INVALID_PARAMETERS when more is wanted than the parent has
 */
export function narrowed(parent: TokenScope | undefined, wanted: TokenScope | undefined) {
  if (parent === undefined || wanted === undefined) return wanted ?? parent;
  const { methods, collections } = parent;
  if (parent.readOnly === true && wanted.readOnly === false) throw tooWide('readOnly');
  for (const field of ['mayReveal', 'mayCreateTokens'] as const) {
    if (wanted[field] === true && parent[field] !== true) throw tooWide(field);
  }
  const isIn = (pattern: string): boolean => methods?.some((by) => isCovered(pattern, by)) ?? true;
  if (wanted.methods?.every(isIn) === false) throw tooWide('methods');
  const isHeld = (name: string): boolean => collections?.includes(name) ?? true;
  if (wanted.collections?.every(isHeld) === false) throw tooWide('collections');
  return {
    ...(methods === undefined ? {} : { methods }),
    ...(collections === undefined ? {} : { collections }),
    ...(parent.readOnly === true ? { readOnly: true } : {}),
    ...wanted,
  };
}

/**
 * A pattern that no method fits, or a collection that is none, is a mistake that would be found late.
 * @throws {ApiError} INVALID_PARAMETERS
 */
export function checkScope(
  scope: TokenScope,
  methods: readonly string[],
  collections: readonly string[],
): void {
  const isLost = (pattern: string): boolean => !methods.some((name) => isCovered(name, pattern));
  const lost = scope.methods?.find(isLost);
  if (lost !== undefined) throw invalidParameter('scope/methods', `"${lost}" fits no method`);
  const unknown = scope.collections?.find((name) => !collections.includes(name));
  if (unknown === undefined) return;
  throw invalidParameter('scope/collections', `there is no collection "${unknown}"`);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** From a record: a scope that cannot be read allows nothing, and none is none. */
export function scopeOf(value: unknown): TokenScope | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { methods: [] };
  const { methods, collections, readOnly, mayReveal, mayCreateTokens } = value as JsonObject;
  return {
    ...(methods === undefined ? {} : { methods: isTextList(methods) ? methods : [] }),
    ...(collections === undefined
      ? {}
      : { collections: isTextList(collections) ? collections : [] }),
    ...(readOnly === undefined || readOnly === false ? {} : { readOnly: true }),
    ...(mayReveal === true ? { mayReveal } : {}),
    ...(mayCreateTokens === true ? { mayCreateTokens } : {}),
  };
}
