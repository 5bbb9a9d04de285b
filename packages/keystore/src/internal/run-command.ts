/** Runs a program without a shell, within a time and an output limit. What it prints on stderr is a diagnosis, never logged. */
import { spawn } from 'node:child_process';
import { errnoOf } from '../errors.js';

export interface CommandOptions {
  /** The whole environment of the child. */
  readonly environment: Readonly<Record<string, string>>;
  /** Written to its standard input, which is then closed. Default: nothing. */
  readonly input?: Uint8Array;
  /** After it the child and its children are killed. */
  readonly timeLimitMs: number;
  /** Of standard output; after it they are killed too. */
  readonly outputMaxBytes: number;
}

export type CommandResult =
  /** The caller zeroes `stdout`. `stderr`: its first bytes. */
  | {
      readonly status: 'exited';
      readonly exitStatus: number;
      readonly stdout: Buffer;
      readonly stderr: string;
    }
  /** `reason`: one sentence without any output in it */
  | { readonly status: 'failed'; readonly reason: string; readonly isAbsent: boolean };

const STDERR_KEPT_BYTES = 1024;

/** @param argv program and arguments; the program is looked up in `PATH` of `environment` */
export function runCommand(
  argv: readonly [string, ...string[]],
  options: CommandOptions,
): Promise<CommandResult> {
  const [program, ...args] = argv;
  return new Promise((resolve) => {
    // A group of its own, so that the time limit ends what the program started, too.
    const child = spawn(program, args, {
      env: { ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const chunks: Buffer[] = [];
    let outputBytes = 0;
    let stderr = '';
    let failure: string | undefined;

    const end = (result: CommandResult): void => {
      clearTimeout(timer);
      for (const chunk of chunks) chunk.fill(0);
      resolve(result);
    };
    const kill = (reason: string): void => {
      failure ??= reason;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        child.kill('SIGKILL'); // the group is gone already, or never was
      }
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const timer = setTimeout(
      () => kill(`${program} did not end within ${options.timeLimitMs} ms`),
      options.timeLimitMs,
    );

    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      outputBytes += chunk.length;
      if (outputBytes > options.outputMaxBytes) {
        kill(`${program} printed more than ${options.outputMaxBytes} bytes`);
      }
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString('utf8')).slice(0, STDERR_KEPT_BYTES);
    });
    // A program that does not read its input ends the pipe: its exit status tells.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);

    child.on('error', (error) => {
      const errno = errnoOf(error);
      end({
        status: 'failed',
        reason: `${program} cannot be run: ${errno}`,
        isAbsent: errno === 'ENOENT',
      });
    });
    child.on('close', (exitStatus, signal) => {
      if (failure !== undefined || exitStatus === null) {
        const reason = failure ?? `${program} was ended by ${signal}`;
        end({ status: 'failed', reason, isAbsent: false });
      } else {
        end({ status: 'exited', exitStatus, stdout: Buffer.concat(chunks), stderr });
      }
    });
  });
}
