// docs/operations.md shows the table of the data folder as redis-store has it, and no other source has a name of it.
import { readFileSync } from 'node:fs';
import { DATA_FOLDER } from '../../packages/redis-store/dist/index.js';
import { withDataFolder } from '../data-folder-document.mjs';
import { listSources, report } from './source-files.mjs';

const TABLE = 'packages/redis-store/src/files/data-folder.ts';
/** A word of other things too. */
const COMMON = new Set(['instance', 'redis', 'import-']);
/** Packages that cannot know the table: the half's own, and the client. Tests compare. */
const ELSEWHERE = {
  'packages/keystore/src/source-table.ts': ['vault-encryption-key'],
  'packages/vault-cli/src/local-socket.ts': ['vault.sock'],
};

/** The formatter pads the cells of tables. */
const lines = (text) =>
  text.replaceAll(/-{3,}/g, '---').replaceAll(/ {2,}/g, ' ').split('\n').filter(Boolean);

const problems = [];
const path = 'docs/operations.md';
const text = readFileSync(path, 'utf8');
const made = lines(withDataFolder(text));
const found = lines(text);
const at = made.findIndex((line, index) => line !== found[index]);
if (at >= 0) {
  problems.push(`${path}: is not what scripts/generate-data-folder-docs.mjs makes: ${made[at]}`);
}
const names = Object.values(DATA_FOLDER)
  .map(({ name }) => name)
  .filter((name) => !COMMON.has(name));
const sources = listSources().filter((each) => each !== TABLE && !each.includes('/http/console/'));
for (const source of sources) {
  const code = readFileSync(source, 'utf8');
  for (const name of names) {
    // A string that begins with it, or a path that ends so; prose, with or without backquotes, may name it.
    const literal = new RegExp(`= ['\`]${name.replaceAll('.', '\\.')}(?![\\w-])`);
    if (!literal.test(code) || ELSEWHERE[source]?.includes(name)) continue;
    problems.push(`${source}: has the name ${name} of its own; take it from ${TABLE}`);
  }
}
report(`names of the data folder in ${sources.length} files`, problems);
