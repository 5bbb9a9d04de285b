/** What README.md says in tables is what the code says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { KEYSTORE_ERRORS } from '../src/errors.js';
import { HALF_SOURCE_NAMES } from '../src/half-source.js';
import { KEY_PLACE_KINDS } from '../src/inventory.js';
import { SOURCE_TABLE } from '../src/source-table.js';

const README = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');

/** Cells of the table that has that heading, without code marks; the heading and its rule left out. */
function rowsUnder(...heading: readonly string[]): readonly (readonly string[])[] {
  const lines = README.split('\n').map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
  const start = lines.findIndex((cells) => cells.join() === heading.join());
  expect(start).toBeGreaterThan(0);
  const end = lines.findIndex((cells, index) => index > start && cells.length === 0);
  return lines.slice(start + 2, end);
}

describe('README.md', () => {
  test('has the sources, their places and whether they are writable', () => {
    expect(rowsUnder('source', 'place (default)', 'writable')).toEqual(
      HALF_SOURCE_NAMES.map((name) => {
        const { defaultPlace, writable } = SOURCE_TABLE[name];
        return [name, defaultPlace.replaceAll('`', ''), writable];
      }),
    );
  });

  test('has every field of every source', () => {
    const fields = HALF_SOURCE_NAMES.flatMap((name) =>
      Object.entries(SOURCE_TABLE[name].fields).map(([field, { doc }]) => [
        name,
        field,
        doc.replaceAll('`', ''),
      ]),
    );
    expect(rowsUnder('source', 'field', 'meaning')).toEqual(fields);
  });

  test('has every kind of place where key material lies', () => {
    expect(rowsUnder('kind', 'what, and what removing the key does')).toEqual(
      Object.entries(KEY_PLACE_KINDS).map(([kind, what]) => [kind, what.replaceAll('`', '')]),
    );
  });

  test('has every error', () => {
    expect(rowsUnder('code', 'meaning')).toEqual(Object.entries(KEYSTORE_ERRORS));
  });
});
