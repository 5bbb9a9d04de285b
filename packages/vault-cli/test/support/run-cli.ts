import { join } from 'node:path';
import { Program, runProgram, type ProgramResult } from '../../../../test/harness/program.js';
import type { Stoppable } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';

export const BINARY = join(import.meta.dirname, '../../bin/vault-cli.js');

export interface RunOptions {
  /** Text on standard input. Default: empty. */
  readonly input?: string | Uint8Array;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The installed program, with folders and an environment of its own. */
export class CliRunner implements Stoppable {
  readonly folder = new TemporaryFolder('vault-cli');

  get configPath(): string {
    return this.folder.join('config/vault-cli/config.json');
  }

  /** Runs one command to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<ProgramResult> {
    return runProgram(process.execPath, [BINARY, ...args], {
      ...this.#processOptions(options.env),
      input: options.input ?? '',
    });
  }

  /** Starts a command that goes on, or that the test talks to. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
    return Program.start(process.execPath, [BINARY, ...args], this.#processOptions(env));
  }

  /** The same on a pseudo terminal: all that it shows is in `stdout`. */
  startOnTerminal(args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
    const line = [process.execPath, BINARY, ...args].map(quote).join(' ');
    const options = this.#processOptions({
      ...env,
      SHELL: '/bin/sh',
      TERM: 'xterm',
      NO_COLOR: '1',
    });
    return Program.start('script', ['-qefc', line, '/dev/null'], options);
  }

  async stop(): Promise<void> {
    await this.folder.stop();
  }

  #processOptions(env: Readonly<Record<string, string>> = {}): {
    cwd: string;
    env: NodeJS.ProcessEnv;
  } {
    const coverage = process.env['NODE_V8_COVERAGE'];
    return {
      cwd: this.folder.path,
      env: {
        PATH: process.env['PATH'],
        HOME: this.folder.path,
        XDG_CONFIG_HOME: this.folder.join('config'),
        ...(coverage === undefined ? {} : { NODE_V8_COVERAGE: coverage }),
        ...env,
      },
    };
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
