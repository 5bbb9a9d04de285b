import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { COMMANDS } from '../../src/commands/command-table.js';

describe('the README', () => {
  it('has a row for each command, and none that is not there', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| `vault-server ([a-z-]+)` +\| (.+?) +\|$/gm)];
    const listed = new Map(rows.map(([, name = '', what = '']) => [name, what]));
    listed.delete('completion'); // made by the command line parser, not in the table
    expect([...listed.keys()]).toEqual(COMMANDS.map(({ names: [name] }) => name));
    for (const { names, summary } of COMMANDS) {
      expect(summary.startsWith(listed.get(names[0] ?? '') ?? 'no row')).toBe(true);
    }
  });
});
