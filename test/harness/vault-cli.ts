import { join } from 'node:path';
import { Program, runProgram, type ProgramResult } from './program.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

const BINARY = join(import.meta.dirname, '../../packages/vault-cli/bin/vault-cli.js');

/** The real vault-cli, with a configuration folder and a working folder of its own. */
export class VaultCli implements Stoppable {
  readonly folder = new TemporaryFolder('vault-cli');

  /** Runs one command to its end: `run(['register', url, email], password)`. */
  async run(args: readonly string[], input = ''): Promise<ProgramResult> {
    return runProgram(process.execPath, [BINARY, ...args], { ...this.#options(), input });
  }

  /** As {@link run}, for a command that must succeed. @returns its standard output */
  async succeed(args: readonly string[], input = ''): Promise<string> {
    const { status, stdout, stderr } = await this.run(args, input);
    if (status !== 0) throw new Error(`vault-cli ${args.join(' ')}: status ${status}\n${stderr}`);
    return stdout;
  }

  /** Starts a command that goes on, such as `watch`. */
  start(args: readonly string[]): Program {
    return Program.start(process.execPath, [BINARY, ...args], this.#options());
  }

  async stop(): Promise<void> {
    await this.folder.stop();
  }

  #options(): { cwd: string; env: NodeJS.ProcessEnv } {
    return {
      cwd: this.folder.path,
      env: {
        PATH: process.env['PATH'],
        HOME: this.folder.path,
        XDG_CONFIG_HOME: this.folder.join('config'),
        ...(process.env['NODE_V8_COVERAGE'] === undefined
          ? {}
          : { NODE_V8_COVERAGE: process.env['NODE_V8_COVERAGE'] }),
      },
    };
  }
}
