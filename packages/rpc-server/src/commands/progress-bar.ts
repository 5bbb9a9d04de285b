/** A progress bar on standard error, where that is a terminal. */
import type { Progress } from '@vault/redis-store';
import type { Surroundings } from './surroundings.js';

export interface ProgressBar {
  update(progress: Progress): void;
  stop(): void;
}

export async function progressBar({ isErrorTerminal }: Surroundings): Promise<ProgressBar> {
  if (!isErrorTerminal) return { update: () => undefined, stop: () => undefined };
  const { default: cliProgress } = await import('cli-progress');
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
