/**
 * The `id` of a request as it was written. JavaScript's numbers hold integers up to 2^53 exactly; a
 * client with 64-bit ids must get the very same digits back, so for larger ones the text is kept.
 */

/** Index just behind the string that begins at `at`. */
function endOfString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

/** Behind a colon: the number's digits, or `undefined` where another value stands. */
const NUMBER_VALUE = /\s*:\s*(-?\d[\d.eE+-]*)/y;

/**
 * The number tokens of member `id` of each object at one depth, in order of the objects; the last
 * one where a name is repeated, as in `JSON.parse`.
 * @param text valid JSON: one object, or an array of values
 */
export function exactIds(text: string): (string | undefined)[] {
  const ids: (string | undefined)[] = [];
  const isBatch = text.trimStart().startsWith('[');
  const memberDepth = isBatch ? 2 : 1;
  let depth = 0;
  let element = isBatch ? 0 : -1;
  for (let i = 0; i < text.length;) {
    const character = text[i];
    if (character === '"') {
      const end = endOfString(text, i);
      NUMBER_VALUE.lastIndex = end;
      if (depth === memberDepth && text.slice(i, end) === '"id"') {
        ids[Math.max(element, 0)] = NUMBER_VALUE.exec(text)?.[1] ?? ids[Math.max(element, 0)];
      }
      i = end;
      continue;
    }
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    else if (character === ',' && isBatch && depth === 1) element += 1;
    i += 1;
  }
  return ids;
}

/** Those of one message, looked for once: for each call of a batch, a long one would hold everybody up. */
export class MessageIds {
  readonly #text: string;
  #ids: readonly (string | undefined)[] | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  at(index: number): string | undefined {
    this.#ids ??= exactIds(this.#text);
    return this.#ids[index];
  }
}

/** Whether a parsed id may have lost digits. */
export function isInexact(id: unknown): boolean {
  return typeof id === 'number' && Number.isInteger(id) && !Number.isSafeInteger(id);
}

/** JSON of an answer with the id's own digits in place of the rounded number. */
export function withExactId(answer: object, digits: string): string {
  const { id: _rounded, ...rest } = answer as { readonly id?: unknown };
  return `{"id":${digits},${JSON.stringify(rest).slice(1)}`;
}
