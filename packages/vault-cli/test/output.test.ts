import { describe, expect, it } from '@jest/globals';
import { formatBytes } from '../src/output/progress-bar.js';
import { isTabular, renderTable } from '../src/output/table.js';
import { cellText, terminalText } from '../src/output/terminal-text.js';

describe('renderTable', () => {
  const id = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';

  it('puts id first and never shortens it, however narrow the terminal', () => {
    const rows = [{ description: 'x'.repeat(200), id, host: 'alpha' }];
    const table = renderTable(rows, 80) ?? '';
    expect(table).toMatch(new RegExp(`│ ${id} +│ x+… +│ alpha +│`));
    for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('gives up when too many columns have to fit', () => {
    const wide = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [`column${n}`, 'x'.repeat(9)]),
    );
    expect(renderTable([wide], 80)).toBeUndefined();
  });

  it('has a column for each property of any row', () => {
    const table = renderTable([{ a: 1 }, { b: null, c: { d: 'x' } }], 80) ?? '';
    expect(table).toMatch(/│ a +│ b +│ c +│/);
    expect(table).toMatch(/│ +│ +│ \{"d":"x"\} +│/);
  });

  it.each([
    [[{ a: 1 }], true],
    [[], false],
    [[{ a: 1 }, 2], false],
    [[[1]], false],
    [[null], false],
    [{ a: 1 }, false],
  ])('suits a list of objects only: %j', (value, expected) => {
    expect(isTabular(value)).toBe(expected);
  });
});

describe('terminalText', () => {
  it('leaves nothing that a terminal obeys', () => {
    const all = Array.from({ length: 0x100 }, (_, code) => String.fromCharCode(code)).join('');
    // oxlint-disable-next-line no-control-regex -- the very characters that must be gone
    expect(terminalText(all)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    expect(terminalText('a\n\tü')).toBe('a\n\tü');
    expect(cellText('a\n\tü')).toBe(String.raw`a\u000a\u0009ü`);
  });
});

describe('formatBytes', () => {
  it.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1.0 KiB'],
    [1_572_864, '1.5 MiB'],
    [2 ** 50, '1024.0 TiB'],
  ])('shows %d as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
