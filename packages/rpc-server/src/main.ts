/** The process of `vault-server`: the only file here that reads the environment, takes signals and exits. */
import { readFileSync } from 'node:fs';
import { runCommandLine } from './commands/command-line.js';
import { SecretInput } from './commands/secret-input.js';

const packageText = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(packageText) as { version: string };

/** The first signal asks to stop; a second one, from somebody who waits no longer, ends the process. */
const stopRequested = new Promise<void>((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      resolve();
      process.once(signal, () => process.exit(1));
    });
  }
});

const status = await runCommandLine(process.argv.slice(2), {
  environment: process.env,
  workingFolder: process.cwd(),
  userId: process.geteuid?.(),
  groupId: process.getegid?.(),
  writeOut: (text) => process.stdout.write(text),
  writeError: (text) => process.stderr.write(text),
  isErrorTerminal: process.stderr.isTTY,
  columns: process.stdout.columns ?? 80,
  // Made when it is asked for: most commands never look at standard input.
  secretInput: new SecretInput(() => process.stdin, process.stderr),
  stopRequested,
  version,
});
// Not by itself: a wait for another process' migration may be under way, which a crash may cut off too.
process.exit(status);
