import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';

/** How a program ended: an exit status, or the signal that ended it. */
export interface ProgramExit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a finished program printed, and its exit status (`null` when a signal ended it). */
export interface ProgramResult extends ProgramExit {
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Working folder; default: that of the test. */
  readonly cwd?: string;
  /** The whole environment of the program; default: that of the test. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Time a program has to end after SIGTERM before it is killed, and the default limit of every wait. */
const DEFAULT_LIMIT_MS = 15_000;

/**
 * A child process that cannot outlive the test: the kernel kills it when the process that started it dies, however
 * that happens (`setpriv --pdeathsig`; an `exit` listener would not run inside jest, whose `process` is a copy).
 */
export class Program {
  /** All that the program printed so far. */
  stdout = '';
  stderr = '';
  /** Resolves when the program has ended and its output is complete. Never rejects. */
  readonly exited: Promise<ProgramExit>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #name: string;
  readonly #watchers = new Set<() => void>();
  #hasExited = false;

  private constructor(child: ChildProcessWithoutNullStreams, name: string) {
    this.#child = child;
    this.#name = name;
    child.stdin.on('error', () => undefined); // a program may end without reading its input
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#notify();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#notify();
    });
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.stderr += `${error.message}\n`;
        this.#end(resolve, { status: 127, signal: null });
      });
      child.once('close', (status, signal) => this.#end(resolve, { status, signal }));
    });
  }

  static start(command: string, args: readonly string[], options: ProgramOptions = {}): Program {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      stdio: 'pipe',
    });
    return new Program(child, command);
  }

  /** @throws Error when the program could not be started at all */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} was not started`);
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return !this.#hasExited;
  }

  /** Writes to the program's standard input. */
  write(input: string | Uint8Array): void {
    this.#child.stdin.write(input);
  }

  /** Closes the program's standard input. */
  endInput(): void {
    this.#child.stdin.end();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL for a program that does not obey within 15 s. */
  async stop(): Promise<ProgramExit> {
    if (!this.isRunning) return this.exited;
    this.signal('SIGTERM');
    this.signal('SIGCONT'); // a stopped process would not see SIGTERM
    const timer = setTimeout(() => this.signal('SIGKILL'), DEFAULT_LIMIT_MS);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<ProgramExit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /**
   * Waits until the output (`stdout` by default) matches.
   * @throws Error with all output when the program ends first, or after `limitMs`
   */
  async waitForOutput(
    pattern: RegExp,
    {
      stream = 'stdout',
      limitMs = DEFAULT_LIMIT_MS,
    }: { stream?: 'stdout' | 'stderr'; limitMs?: number } = {},
  ): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        finish();
      };
      const fail = (why: string): void => {
        const output = `stdout: ${this.stdout}\nstderr: ${this.stderr}`;
        settle(() => reject(new Error(`${this.#name} ${why}, no ${String(pattern)}\n${output}`)));
      };
      const check = (): void => {
        const match = pattern.exec(this[stream]);
        if (match !== null) settle(() => resolve(match));
        else if (this.#hasExited) fail('ended');
      };
      const timer = setTimeout(() => fail(`went on for ${limitMs} ms`), limitMs);
      this.#watchers.add(check);
      check();
    });
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #end(resolve: (exit: ProgramExit) => void, exit: ProgramExit): void {
    this.#hasExited = true;
    resolve(exit);
    this.#notify();
  }
}

/** Runs a program to its end, with `input` on its standard input. A non-zero exit status is a result, not an error. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions & { readonly input?: string | Uint8Array } = {},
): Promise<ProgramResult> {
  const program = Program.start(command, args, options);
  if (options.input !== undefined) program.write(options.input);
  program.endInput();
  const exit = await program.exited;
  return { ...exit, stdout: program.stdout, stderr: program.stderr };
}

/** As {@link runProgram}, for a step that must succeed. @throws Error with the output when the status is not 0 */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options: ProgramOptions & { readonly input?: string | Uint8Array } = {},
): Promise<string> {
  const { status, stdout, stderr } = await runProgram(command, args, options);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}\n${stderr}`);
  return stdout;
}
