// The header of each Lua script says what its body and its callers do:
//   -- KEYS[1] name: text     -- KEYS[3..] name: text (the rest)     -- ARGV[1] name: text     -- Returns: text
// Compared: header with body (every index used is described, every one described is used), files with the table of
// scripts.ts, and header with callers, where a caller passes an array of fixed length.
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { listSources, readCode, report } from './source-files.mjs';

const FOLDER = 'packages/redis-store/lua';
const problems = [];

/** @returns {{ count: number, isOpen: boolean }} of KEYS or ARGV, as a header describes them */
function readHeader(file, header, kind) {
  const shape = { count: 0, isOpen: false };
  for (const [, index, open, rest] of header.matchAll(
    new RegExp(String.raw`^-- ${kind}\[(\d+)(\.\.)?\] ([^\n]*)$`, 'gm'),
  )) {
    const where = `${file}: ${kind}[${index}]`;
    if (shape.isOpen) problems.push(`${where} follows an open-ended one`);
    if (Number(index) !== shape.count + 1) problems.push(`${where} is out of order`);
    if (!/^[\w ]+: \S/.test(rest)) problems.push(`${where} has no name and meaning`);
    if (open === undefined) shape.count += 1;
    else shape.isOpen = true;
  }
  return shape;
}

function compareWithBody(file, body, kind, { count, isOpen }) {
  const used = [...body.matchAll(new RegExp(String.raw`\b${kind}\[([^\]]+)\]`, 'g'))].map(
    (m) => m[1],
  );
  const fixed = new Set(used.filter((index) => /^\d+$/.test(index)).map(Number));
  const hasComputed = used.some((index) => !/^\d+$/.test(index));
  for (const index of fixed) {
    if (index > count && !isOpen) problems.push(`${file}: ${kind}[${index}] is not in the header`);
  }
  for (let index = 1; index <= count; index += 1) {
    if (!fixed.has(index)) problems.push(`${file}: ${kind}[${index}] of the header is not used`);
  }
  if (hasComputed && !isOpen)
    problems.push(`${file}: ${kind} by a computed index, not in the header`);
  if (isOpen && !hasComputed)
    problems.push(`${file}: open-ended ${kind} of the header is not used`);
}

/** Elements of the array literal that starts at `start`; undefined when it has a spread. */
function countElements(code, start) {
  let depth = 0;
  let text = '';
  for (let at = start; at < code.length; at += 1) {
    if ('[({'.includes(code[at])) depth += 1;
    else if ('])}'.includes(code[at])) depth -= 1;
    if (depth === 0) break;
    text += depth === 1 && code[at] === ',' ? '\n' : code[at];
  }
  if (text.includes('...')) return undefined;
  return text
    .slice(1)
    .split('\n')
    .filter((part) => part.trim() !== '').length;
}

/** Length of an argument: an array literal, or a constant that is one. */
function argumentLength(code, at) {
  if (code[at] === '[') return countElements(code.replaceAll('\n', ' '), at);
  const [name] = /^\w+/.exec(code.slice(at)) ?? [''];
  const declaration = [
    ...code.slice(0, at).matchAll(new RegExp(String.raw`const ${name}\b[^=;]*= \[`, 'g')),
  ].at(-1);
  if (declaration === undefined) return undefined;
  return countElements(code.replaceAll('\n', ' '), declaration.index + declaration[0].length - 1);
}

/** @returns offset of the argument after the one at `at` */
function nextArgument(code, at) {
  let depth = 0;
  for (let i = at; i < code.length; i += 1) {
    if ('[({'.includes(code[i])) depth += 1;
    else if ('])}'.includes(code[i])) depth -= 1;
    else if (code[i] === ',' && depth === 0)
      return i + 1 + /^\s*/.exec(code.slice(i + 1))[0].length;
  }
  return code.length;
}

function compareWithCallers(file, name, shapes) {
  let calls = 0;
  for (const path of listSources()) {
    const code = readCode(path);
    for (const match of code.matchAll(new RegExp(String.raw`script\(\s*'${name}',\s*`, 'g'))) {
      calls += 1;
      const keysAt = match.index + match[0].length;
      const positions = { KEYS: keysAt, ARGV: nextArgument(code, keysAt) };
      for (const [kind, { count, isOpen }] of Object.entries(shapes)) {
        const passed = argumentLength(code, positions[kind]);
        if (passed === undefined) continue;
        if (isOpen ? passed < count : passed !== count) {
          problems.push(`${path}: ${name} gets ${passed} ${kind}, ${file} describes ${count}`);
        }
      }
    }
  }
  if (calls === 0) problems.push(`${file}: nothing calls ${name}`);
}

const table = readCode('packages/redis-store/src/redis/scripts.ts').matchAll(
  /(\w+): '([\w-]+\.lua)'/g,
);
const names = new Map([...table].map(([, name, file]) => [file, name]));
const files = readdirSync(FOLDER).filter((file) => file.endsWith('.lua'));
for (const file of names.keys()) {
  if (!files.includes(file)) problems.push(`scripts.ts: there is no ${file}`);
}
for (const file of files) {
  const text = readFileSync(`${FOLDER}/${file}`, 'utf8');
  const [header = ''] = /^(?:--[^\n]*\n)+/.exec(text) ?? [];
  const body = text.slice(header.length).replace(/--[^\n]*/g, '');
  if (!/^-- [A-Z][^\n]*\.\n/.test(header))
    problems.push(`${file}: begins with no sentence of what it does`);
  if (!/^-- Returns: \S/m.test(header)) problems.push(`${file}: no "-- Returns:" in the header`);
  const shapes = { KEYS: readHeader(file, header, 'KEYS'), ARGV: readHeader(file, header, 'ARGV') };
  for (const [kind, shape] of Object.entries(shapes)) compareWithBody(file, body, kind, shape);
  if (/\bredis\.p?call\(\s*'[A-Z]+',\s*['"]/.test(body))
    problems.push(`${file}: a key name is written out`);
  const name = names.get(basename(file));
  if (name === undefined) problems.push(`${file} is not in the table of scripts.ts`);
  else compareWithCallers(file, name, shapes);
}
report(`headers of ${files.length} Lua scripts`, problems);
