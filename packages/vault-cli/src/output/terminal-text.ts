import type { OutputStream } from '../secret-input.js';

const DEFAULT_COLUMNS = 80;

/** Width of the terminal; 80 for what is none, or does not tell (a new pseudo terminal says 0). */
export function terminalColumns(output: OutputStream): number {
  const { columns } = output;
  return columns === undefined || columns < 1 ? DEFAULT_COLUMNS : columns;
}

/**
 * Text from the server, made safe for a terminal: a record must not be able to move the cursor, change
 * colours or retitle the window of whoever lists it. Line ends and tabs stay.
 */
export function terminalText(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, escapeCharacter);
}

/** The same on one line, for the cell of a table. */
export function cellText(text: string): string {
  return terminalText(text).replace(/[\n\t]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
