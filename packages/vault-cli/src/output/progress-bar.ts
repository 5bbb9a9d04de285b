import cliProgress from 'cli-progress';
import type { OutputStream } from '../secret-input.js';
import { terminalText } from './terminal-text.js';

/** How far something is. `total` 0: not known. */
export interface ProgressState {
  readonly label: string;
  readonly done: number;
  readonly total: number;
}

/** One bar on standard error while something long runs; nothing at all where that is no terminal. */
export class ProgressBar {
  readonly #output: OutputStream;
  readonly #unit: 'bytes' | 'records';
  #bar: cliProgress.SingleBar | undefined;

  constructor(output: OutputStream, unit: 'bytes' | 'records') {
    this.#output = output;
    this.#unit = unit;
  }

  show(state: ProgressState): void {
    if (this.#output.isTTY !== true) return;
    const label = terminalText(state.label);
    if (this.#bar === undefined) {
      this.#bar = new cliProgress.SingleBar({
        stream: this.#output,
        clearOnComplete: true,
        hideCursor: null,
        format: (options, params, payload: { label: string }) =>
          this.#render(payload.label, params, (progress) =>
            cliProgress.Format.BarFormat(progress, options),
          ),
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: 30,
      });
      this.#bar.start(state.total, state.done, { label });
      return;
    }
    this.#bar.setTotal(state.total);
    this.#bar.update(state.done, { label });
  }

  /** Removes the bar: what follows on standard error begins on a clean line. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #render(
    label: string,
    params: { readonly value: number; readonly total: number; readonly progress: number },
    drawBar: (progress: number) => string,
  ): string {
    const done = this.#amount(params.value);
    if (params.total <= 0) return `${label}  ${done}`;
    const percent = Math.floor(params.progress * 100);
    return `${label}  ${drawBar(params.progress)} ${percent} %  ${done} of ${this.#amount(params.total)}`;
  }

  #amount(value: number): string {
    return this.#unit === 'bytes' ? formatBytes(value) : value.toLocaleString('en');
  }
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
