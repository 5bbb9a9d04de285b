import Table from 'cli-table3';
import { cellText } from './terminal-text.js';

type Row = Readonly<Record<string, unknown>>;

/** Below this a column says nothing any more. */
const MIN_COLUMN_WIDTH = 6;
/** What cli-table3 adds to the text of a cell: a space at each side and one border line. */
const CELL_FRAME_WIDTH = 3;

/** Whether a result is a list that reads well as a table: objects, at least one. */
export function isTabular(value: unknown): value is readonly Row[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item))
  );
}

/**
 * One line an object, one column a property, `id` first and never shortened, since it is what the next
 * command needs.
 *
 * @param maxWidth columns of the terminal.
 * @returns `undefined` when it does not fit however much the other columns are shortened.
 */
export function renderTable(rows: readonly Row[], maxWidth: number): string | undefined {
  const names = columnNames(rows);
  const cells = rows.map((row) => names.map((name) => renderCell(row[name])));
  const widths = names.map((name, column) =>
    Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  if (!shrinkToFit(names, widths, maxWidth)) return undefined;
  const table = new Table({
    head: names.map(cellText),
    colWidths: widths.map((width) => width + CELL_FRAME_WIDTH - 1),
    style: { head: [], border: [], compact: true },
  });
  table.push(...cells);
  return table.toString();
}

function columnNames(rows: readonly Row[]): string[] {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  return names.delete('id') ? ['id', ...names] : [...names];
}

function renderCell(value: unknown): string {
  if (value === undefined || value === null) return '';
  return cellText(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Takes from the widest column, again and again. Changes `widths`; false when that is not enough. */
function shrinkToFit(names: readonly string[], widths: number[], maxWidth: number): boolean {
  const frameWidth = names.length * CELL_FRAME_WIDTH + 1;
  let excess = widths.reduce((sum, width) => sum + width, frameWidth) - maxWidth;
  while (excess > 0) {
    const shrinkable = widths.map((width, column) => (names[column] === 'id' ? 0 : width));
    const widest = Math.max(...shrinkable);
    if (widest <= MIN_COLUMN_WIDTH) return false;
    widths[shrinkable.indexOf(widest)] = widest - 1;
    excess -= 1;
  }
  return true;
}
