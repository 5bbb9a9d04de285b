import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import * as api from '../src/index.js';

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** Names that `src/index.ts` exports, types included, from its `export { … } from` statements. */
function exportedNames(): string[] {
  const statements = read('../src/index.ts').matchAll(/export (?:type )?\{([^}]*)\}/g);
  return [...statements].flatMap(([, names = '']) => names.match(/\w+/g) ?? []).toSorted();
}

const rows = [...read('../README.md').matchAll(/^\| `(\w+)` +\| (\w+) +\|/gm)].map(
  ([, name = '', kind = '']) => ({ name, kind }),
);

test('the API table of the README names every export, once, and nothing else', () => {
  expect(rows.map(({ name }) => name).toSorted()).toEqual(exportedNames());
});

test('the table says of each export what kind it is', () => {
  const kinds = Object.fromEntries(
    Object.entries(api).map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'function') return [name, 'constant'];
      return [
        name,
        /^class\b/.test(Function.prototype.toString.call(value)) ? 'class' : 'function',
      ];
    }),
  );
  const documented = rows.filter(({ kind }) => kind !== 'type');
  expect(Object.fromEntries(documented.map(({ name, kind }) => [name, kind]))).toEqual(kinds);
});

test('the labels and lengths that the README gives are those of the code', () => {
  const readme = read('../README.md');
  expect(readme).toContain(`${api.ENVELOPE_OVERHEAD_BYTES}: what an envelope adds`);
  const source = read('../src/vault-key.ts');
  const purposes = /MAC_PURPOSES = \[([^\]]*)\]/.exec(source)?.[1]?.match(/\w+/g) ?? [];
  expect(purposes).toHaveLength(4);
  expect(readme).toContain(purposes.map((purpose) => `vault/v1/${purpose}`).join(', '));
});
