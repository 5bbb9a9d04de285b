/**
 * The filter of `xo.getAllObjects`: an object that must be matched partially, or a text in the small
 * part of Xen Orchestra's filter syntax that people type:
 *
 *   type:server label:prod     both
 *   !readOnly:true             not
 *   "two words"                any property contains this text
 */
import { RECORD_LIMITS } from '@vault/redis-store';
import type { Json, JsonObject } from '../protocol.js';
import { invalidParameter } from '../rpc/api-error.js';
import { ComparisonBudget } from './comparison-budget.js';
import { partialMatch } from './partial-match.js';

/** Words that somebody types; each is compared with each object. */
const TERMS_MAX = 100;
const TEXT_LENGTH_MAX = 4096;
/** Of one word: what is longer is searched in a time that is the product of both lengths. */
const WORD_LENGTH_MAX = 200;
/** Names inside each other: a record has no more, below the name of its field. */
const PATH_NAMES_MAX = RECORD_LIMITS.depth + 1;

export type ObjectFilter = (object: JsonObject) => boolean;

/** `!`, `property:`, then a quoted text or a bare word. */
const TERM = /\s*(!?)(?:([A-Za-z_][A-Za-z0-9_.]*):)?(?:"((?:[^"\\]|\\.)*)"|([^\s"():|]+))(?=\s|$)/y;

/** Lower-case texts in any property of one object: made once, whatever many words are looked for. */
class ObjectTexts {
  readonly #budget: ComparisonBudget;
  #object: JsonObject | undefined;
  #texts: readonly string[] = [];

  constructor(budget: ComparisonBudget) {
    this.#budget = budget;
  }

  contain(object: JsonObject, word: string): boolean {
    if (object !== this.#object) {
      this.#texts = [...this.#textsOf(object)];
      this.#object = object;
    }
    return this.#texts.some((text) => this.#budget.isIn(text, word));
  }

  *#textsOf(value: unknown): Generator<string> {
    if (typeof value === 'string') yield this.#budget.lower(value);
    else if (typeof value === 'object' && value !== null) {
      for (const item of Object.values(value)) yield* this.#textsOf(item);
    } else this.#budget.spend(1);
  }
}

function equalsWord(value: Json | undefined, word: string, budget: ComparisonBudget): boolean {
  budget.spend(1);
  if (Array.isArray(value)) return value.some((item: Json) => equalsWord(item, word, budget));
  if (typeof value === 'string') return budget.isIn(budget.lower(value), word);
  return value !== undefined && typeof value !== 'object' && String(value) === word;
}

function propertyAt(object: JsonObject, names: readonly string[]): Json | undefined {
  let value: unknown = object;
  for (const name of names) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) {
      return undefined;
    }
    value = (value as Record<string, unknown>)[name];
  }
  return value as Json;
}

/** The names of `a.b.c`, of which each object is asked. */
function pathOf(property: string): readonly string[] {
  const names = property.split('.');
  if (names.length <= PATH_NAMES_MAX) return names;
  throw invalidParameter('filter', `must NOT have more than ${PATH_NAMES_MAX} names in a property`);
}

function parseText(text: string): ObjectFilter {
  if (text.length > TEXT_LENGTH_MAX) {
    throw invalidParameter('filter', `must NOT have more than ${TEXT_LENGTH_MAX} characters`);
  }
  const budget = new ComparisonBudget();
  const texts = new ObjectTexts(budget);
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
    if (word.length > WORD_LENGTH_MAX) {
      throw invalidParameter(
        'filter',
        `must NOT have a word of more than ${WORD_LENGTH_MAX} characters`,
      );
    }
    const path = property === undefined ? undefined : pathOf(property);
    const isMatch: ObjectFilter =
      path === undefined
        ? (object) => texts.contain(object, word)
        : (object) => equalsWord(propertyAt(object, path), word, budget);
    terms.push(not === '!' ? (object) => !isMatch(object) : isMatch);
  }
  return (object) => {
    budget.nextObject();
    return terms.every((term) => term(object));
  };
}

/** @throws {ApiError} INVALID_PARAMETERS when the text is not in the syntax above */
export function parseFilter(filter: Json | undefined): ObjectFilter {
  if (filter === undefined) return () => true;
  if (typeof filter === 'string') return parseText(filter);
  return partialMatch(filter);
}
