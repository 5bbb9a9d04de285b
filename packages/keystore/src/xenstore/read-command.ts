/**
 * The fallback where neither socket nor device can be opened: the command `xenstore-read`. It has
 * one exit status for *missing*, *denied* and *broken*, so a missing value is only believed when
 * listing its parent proves it; everything else is unreadable.
 */
import { runCommand } from '../internal/run-command.js';
import type { CommandResult } from '../internal/run-command.js';
import { HALF_VALUE_MAX_BYTES } from '../half-value.js';
import type { RawReading } from '../value-place.js';

export interface ReadCommandOptions {
  /** The whole environment of the commands: `PATH`, and `XENSTORED_PATH` where it is set. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeLimitMs: number;
}

/** What the tools print when the node that was listed is not there. */
const PARENT_MISSING = /^xenstore-ls: xs_directory \([^\n]*\): No such file or directory$/m;
const LINE_FEED = 0x0a;
const BACKSLASH = 0x5c;
const LOWER_N = 0x6e;

export async function readByCommand(
  path: string,
  options: ReadCommandOptions,
): Promise<RawReading> {
  const read = await run(['xenstore-read', path], options);
  if (read.status === 'failed') return { status: 'unreadable', reason: read.reason };
  if (read.exitStatus === 0) return { status: 'value', value: unescapeLineFeeds(read.stdout) };
  read.stdout.fill(0);
  if (await isProvablyMissing(path, options)) return { status: 'missing' };
  const reason = `xenstore-read ended with status ${read.exitStatus}, and that the value is missing is not proven`;
  return { status: 'unreadable', reason };
}

async function isProvablyMissing(path: string, options: ReadCommandOptions): Promise<boolean> {
  const slash = path.lastIndexOf('/');
  if (slash <= 0) return false;
  const parent = path.slice(0, slash);
  const list = await run(['xenstore-list', parent], options);
  if (list.status === 'failed') return false;
  if (list.exitStatus === 0) {
    return !list.stdout
      .toString('utf8')
      .split('\n')
      .includes(path.slice(slash + 1));
  }
  // Only this tool says why. It prints nothing of a parent that is not there.
  const ls = await run(['xenstore-ls', parent], options);
  if (ls.status === 'failed') return false;
  ls.stdout.fill(0);
  return ls.exitStatus !== 0 && PARENT_MISSING.test(ls.stderr);
}

function run(argv: [string, ...string[]], options: ReadCommandOptions): Promise<CommandResult> {
  return runCommand(argv, { ...options, outputMaxBytes: 2 * HALF_VALUE_MAX_BYTES });
}

/** The command prints a line feed inside a value as `\n`. @returns the same buffer or a part of it */
function unescapeLineFeeds(output: Buffer): Buffer {
  let length = 0;
  for (let at = 0; at < output.length; at++) {
    const isEscaped = output[at] === BACKSLASH && output[at + 1] === LOWER_N;
    output[length++] = isEscaped ? LINE_FEED : (output[at] ?? 0);
    if (isEscaped) at++;
  }
  output.fill(0, length);
  return output.subarray(0, length);
}
