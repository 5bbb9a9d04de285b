/** A progress bar on standard error, where that is a terminal. */
import type { Progress } from '@vault/redis-store';
import cliProgress from 'cli-progress';
import type { Surroundings } from './surroundings.js';

export interface ProgressBar {
  update(progress: Progress): void;
  stop(): void;
}

export function progressBar({ isErrorTerminal }: Surroundings): ProgressBar {
  if (!isErrorTerminal) return { update: () => undefined, stop: () => undefined };
  const bar = new cliProgress.SingleBar({
    format: '{phase} [{bar}] {percentage} % | {value}/{total} | {eta_formatted}',
    hideCursor: true,
    clearOnComplete: true,
  });
  let isStarted = false;
  return {
    update({ phase, done, total }) {
      if (isStarted) {
        bar.setTotal(total);
        bar.update(done, { phase });
      } else {
        isStarted = true;
        bar.start(total, done, { phase });
      }
    },
    stop() {
      if (isStarted) bar.stop();
    },
  };
}
