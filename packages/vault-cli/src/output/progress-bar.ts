import cliProgress from 'cli-progress';
import type { OutputStream } from '../secret-input.js';
import { terminalText } from './terminal-text.js';

/** How far something is. `total` 0: not known. */
export interface ProgressState {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  readonly unit: 'bytes' | 'records';
}

/** One bar on standard error while something long runs; nothing at all where that is no terminal. */
export class ProgressBar {
  readonly #output: OutputStream;
  #bar: cliProgress.SingleBar | undefined;

  constructor(output: OutputStream) {
    this.#output = output;
  }

  show(state: ProgressState): void {
    if (this.#output.isTTY !== true) return;
    if (this.#bar === undefined) {
      this.#bar = createBar(this.#output);
      this.#bar.start(state.total, state.done, state);
      return;
    }
    this.#bar.setTotal(state.total);
    this.#bar.update(state.done, state);
  }

  /** Removes the bar: what follows on standard error begins on a clean line. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

function createBar(stream: OutputStream): cliProgress.SingleBar {
  return new cliProgress.SingleBar({
    stream,
    clearOnComplete: true,
    hideCursor: null,
    format: (options, { progress }, state: ProgressState) =>
      render(state, progress, cliProgress.Format.BarFormat(progress, options)),
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
  });
}

/** @param progress between 0 and 1 */
function render(
  { label, done, total, unit }: ProgressState,
  progress: number,
  bar: string,
): string {
  const amount = (value: number) =>
    unit === 'bytes' ? formatBytes(value) : value.toLocaleString('en');
  const text = `${terminalText(label)}  `;
  if (total <= 0) return text + amount(done);
  return `${text}${bar} ${Math.floor(progress * 100)} %  ${amount(done)} of ${amount(total)}`;
}

const BYTE_UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** 1536 → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit] ?? ''}`;
}
