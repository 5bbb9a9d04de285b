// What docs/operations.md says of the files of the data folder, made from the table of redis-store.
import { DATA_FOLDER, SECRECY } from '../packages/redis-store/dist/index.js';

const BEGIN = '<!-- data folder: made by scripts/generate-data-folder-docs.mjs -->\n';
const END = '<!-- end of data folder -->\n';

/** The document with the table between its two marks. */
export function withDataFolder(text) {
  const start = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (start < 0 || end < start)
    throw new Error('the marks of the data folder are not in the document');
  return `${text.slice(0, start + BEGIN.length)}\n${table()}\n${text.slice(end)}`;
}

function table() {
  const rows = Object.values(DATA_FOLDER).map(
    ({ name, shown = name, what, holds, madeBy, goes }) => [
      shown
        .split(', ')
        .map((part) => (part === '…' ? part : `\`${part}\``))
        .join(', '),
      what,
      SECRECY[holds],
      madeBy,
      goes,
    ],
  );
  const head = ['file', 'what is in it', 'who reads it learns', 'made by', 'goes with'];
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |\n`).join('');
}
