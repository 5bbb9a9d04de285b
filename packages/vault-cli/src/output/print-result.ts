import { inspect } from 'node:util';
import type { OutputStream } from '../secret-input.js';
import { isTabular, renderTable } from './table.js';
import { terminalColumns, terminalText } from './terminal-text.js';

export interface PrintOptions {
  /** Print JSON, whatever the output is. */
  readonly isJson: boolean;
}

/**
 * Prints the result of a call on standard output. For programs JSON, indented by two; for people a table
 * where it is a list of objects and the output a terminal, else a string as it is, else a dump with
 * sorted keys. Unlike xo-cli, an integer is printed like any other value: it is no exit status.
 */
export function printResult(value: unknown, output: OutputStream, options: PrintOptions): void {
  output.write(`${options.isJson ? toJson(value) : toText(value, output)}\n`);
}

/** A dump with sorted keys at full depth, coloured where the output shows colours. */
export function dump(value: unknown, output: OutputStream): string {
  return inspect(value, {
    depth: Infinity,
    sorted: true,
    maxArrayLength: Infinity,
    maxStringLength: Infinity,
    colors: output.isTTY === true && output.hasColors?.() === true,
  });
}

function toJson(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2);
}

function toText(value: unknown, output: OutputStream): string {
  const isTerminal = output.isTTY === true;
  if (typeof value === 'string') return isTerminal ? terminalText(value) : value;
  const table =
    isTerminal && isTabular(value) ? renderTable(value, terminalColumns(output)) : undefined;
  return table ?? dump(value, output);
}
