/**
 * In which line of a TOML document a key stands. The parser gives values without positions; a
 * message for an operator needs the line. Only for documents that parsed.
 */

const BARE_OR_QUOTED = /\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*/y;

/** Reads `a.b."c d"` from `at`. @returns the keys and where they end */
function readKeys(line: string, at: number): { keys: string[]; end: number } {
  const keys: string[] = [];
  let end = at;
  for (;;) {
    BARE_OR_QUOTED.lastIndex = end;
    const match = BARE_OR_QUOTED.exec(line);
    if (match === null) return { keys, end };
    keys.push(match[1] ?? match[2] ?? match[3] ?? '');
    end = BARE_OR_QUOTED.lastIndex;
    if (line[end] !== '.') return { keys, end };
    end++;
  }
}

/** What a value leaves open at the end of a line: brackets, or a string of several lines. */
interface Open {
  depth: number;
  string: '"""' | "'''" | undefined;
}

function scanValue(line: string, start: number, open: Open): void {
  let at = start;
  while (at < line.length) {
    if (open.string !== undefined) {
      const end = line.indexOf(open.string, at);
      if (end < 0) return;
      at = end + open.string.length;
      open.string = undefined;
      continue;
    }
    const rest = line.slice(at);
    const long = /^(?:"""|''')/.exec(rest)?.[0];
    const short = /^(?:"(?:[^"\\]|\\.)*"|'[^']*')/.exec(rest)?.[0];
    if (long === '"""' || long === "'''") {
      open.string = long;
      at += long.length;
    } else if (short !== undefined) {
      at += short.length;
    } else {
      const character = line[at];
      if (character === '#') return;
      if (character === '[' || character === '{') open.depth++;
      if (character === ']' || character === '}') open.depth--;
      at++;
    }
  }
}

/**
 * @param path keys from the top of the document
 * @returns the line, counted from 1, of the longest part of the path that has a line of its own (the
 * table of an unknown key inside an inline table stands for it); `undefined` where not even the first key has one
 */
export function locateKey(document: string, path: readonly string[]): number | undefined {
  let table: readonly string[] = [];
  let best: { line: number; length: number } | undefined;
  const open: Open = { depth: 0, string: undefined };
  const consider = (keys: readonly string[], line: number) => {
    const shared = keys.findIndex((key, i) => key !== path[i]);
    const length = shared === -1 ? Math.min(keys.length, path.length) : shared;
    const isPrefix = shared === -1 || keys.length > path.length;
    if (isPrefix && length > (best?.length ?? 0)) best = { line, length };
  };
  for (const [index, line] of document.split('\n').entries()) {
    if (open.depth > 0 || open.string !== undefined) {
      scanValue(line, 0, open);
      continue;
    }
    const start = line.search(/\S/);
    if (start < 0 || line[start] === '#') continue;
    if (line[start] === '[') {
      const brackets = line[start + 1] === '[' ? 2 : 1;
      table = readKeys(line, start + brackets).keys;
      consider(table, index + 1);
      continue;
    }
    const { keys, end } = readKeys(line, start);
    consider([...table, ...keys], index + 1);
    scanValue(line, end + 1, open);
  }
  return best?.line;
}
