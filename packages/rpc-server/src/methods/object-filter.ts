/**
 * The filter of `xo.getAllObjects`: an object that must be matched partially, or a text in the small
 * part of Xen Orchestra's filter syntax that people type:
 *
 *   type:server label:prod     both
 *   !readOnly:true             not
 *   "two words"                any property contains this text
 */
import type { Json, JsonObject } from '../protocol.js';
import { invalidParameter } from '../rpc/api-error.js';
import { matchesPartially } from './partial-match.js';

/** Words that somebody types; each is compared with each object. */
const TERMS_MAX = 100;

export type ObjectFilter = (object: JsonObject) => boolean;

/** `!`, `property:`, then a quoted text or a bare word. */
const TERM = /\s*(!?)(?:([A-Za-z_][A-Za-z0-9_.]*):)?(?:"((?:[^"\\]|\\.)*)"|([^\s"():|]+))(?=\s|$)/y;

function containsText(value: unknown, text: string): boolean {
  if (typeof value === 'string') return value.toLowerCase().includes(text);
  if (typeof value === 'object' && value !== null) {
    return Object.values(value).some((item) => containsText(item, text));
  }
  return false;
}

function equalsWord(value: Json | undefined, word: string): boolean {
  if (Array.isArray(value)) return value.some((item: Json) => equalsWord(item, word));
  if (typeof value === 'string') return value.toLowerCase().includes(word);
  return value !== undefined && typeof value !== 'object' && String(value) === word;
}

function propertyAt(object: JsonObject, path: string): Json | undefined {
  let value: unknown = object;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) {
      return undefined;
    }
    value = (value as Record<string, unknown>)[name];
  }
  return value as Json;
}

function parseText(text: string): ObjectFilter {
  const terms: ObjectFilter[] = [];
  TERM.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TERM.lastIndex < end) {
    if (terms.length === TERMS_MAX) {
      throw invalidParameter('filter', `must NOT have more than ${TERMS_MAX} words`);
    }
    const match = TERM.exec(text);
    if (match === null) {
      throw invalidParameter('filter', 'must be words such as type:server, !enabled:false, "text"');
    }
    const [, not, property, quoted, bare] = match;
    const word = (quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '').toLowerCase();
    const isMatch: ObjectFilter =
      property === undefined
        ? (object) => containsText(object, word)
        : (object) => equalsWord(propertyAt(object, property), word);
    terms.push(not === '!' ? (object) => !isMatch(object) : isMatch);
  }
  return (object) => terms.every((term) => term(object));
}

/** @throws {ApiError} INVALID_PARAMETERS when the text is not in the syntax above */
export function parseFilter(filter: Json | undefined): ObjectFilter {
  if (filter === undefined) return () => true;
  if (typeof filter === 'string') return parseText(filter);
  return (object) => matchesPartially(object, filter);
}
