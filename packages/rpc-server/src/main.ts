/** The process of `vault-server`: the only file here that reads the environment, takes signals and exits. */
import { readFileSync } from 'node:fs';
import { runCommandLine } from './commands/command-line.js';
import { SecretInput } from './commands/secret-input.js';

const packageText = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(packageText) as { version: string };

/** A defect ends the process, which the next start mends. Its place is shown, and no message: that could carry a stored value. */
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    const frames = error instanceof Error ? (error.stack ?? '').match(/^ {4}at .*$/gm) : null;
    const name = error instanceof Error ? error.name : typeof error;
    process.stderr.write(`vault-server: unexpected ${name}\n${(frames ?? []).join('\n')}\n`);
    process.exit(1);
  });
}

/** The first signal asks to stop; a second one, from somebody who waits no longer, ends the process. */
const stopRequested = new Promise<void>((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      resolve();
      process.once(signal, () => process.exit(1));
    });
  }
});

/** A terminal or a pipe that went away takes no output any more: what runs goes on, and ends in order. */
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const status = await runCommandLine(process.argv.slice(2), {
  environment: process.env,
  workingFolder: process.cwd(),
  userId: process.geteuid?.(),
  groupId: process.getegid?.(),
  writeOut: (text) => process.stdout.write(text),
  writeError: (text) => process.stderr.write(text),
  isOutTerminal: process.stdout.isTTY,
  isErrorTerminal: process.stderr.isTTY,
  columns: process.stdout.columns ?? 80,
  // Made when it is asked for: most commands never look at standard input.
  secretInput: new SecretInput(() => process.stdin, process.stderr),
  stopRequested,
  onReload: (listener) => void process.on('SIGHUP', listener),
  version,
});
// Not by itself: a wait for another process' migration may be under way, which a crash may cut off too.
process.exit(status);
