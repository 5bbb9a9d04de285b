import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchNode } from './node-release.js';
import { Program, runProgram, type ProgramResult } from './program.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';

/** What an installation had to say, and which packages wanted to run a script. */
export interface Installation {
  readonly warnings: readonly string[];
  readonly scripts: readonly string[];
}

/** What `npm run` and jest tell their children; how the registry is reached stays. */
const OF_THE_TEST_RUN =
  /^(npm_(package|lifecycle)_|INIT_CWD$|NODE_(OPTIONS|ENV|PATH|V8_COVERAGE)$)/;

/** An empty folder of somebody without a clone, who has one version of Node, and installs packages there. */
export class InstallSite implements Stoppable {
  readonly folder = new TemporaryFolder('vault-installed');
  readonly #env: NodeJS.ProcessEnv;

  private constructor(programs: string) {
    const own = Object.entries(process.env).filter(([name]) => !OF_THE_TEST_RUN.test(name));
    this.#env = {
      ...Object.fromEntries(own),
      PATH: [this.folder.join('node_modules/.bin'), programs, process.env['PATH']].join(':'),
      XDG_CONFIG_HOME: this.folder.join('config'),
    };
  }

  static async withNode(version: string): Promise<InstallSite> {
    const site = new InstallSite(await fetchNode(version));
    const { stdout } = await site.run('npm', ['version', '--json']);
    const { node } = JSON.parse(stdout) as { node: string };
    if (node !== version) throw new Error(`npm runs on Node ${node}, not on ${version}`);
    return site;
  }

  /** Runs a program, also one that was installed, to its end. */
  run(program: string, args: readonly string[], input = '', env = {}): Promise<ProgramResult> {
    const options = { cwd: this.folder.path, env: { ...this.#env, ...env }, input };
    return runProgram(program, args, options);
  }

  start(program: string, args: readonly string[]): Program {
    return Program.start(program, args, { cwd: this.folder.path, env: this.#env });
  }

  /**
   * @param from folder of the tarballs
   * @param files tarballs, as a README names them: `./vault-crypto-0.1.0.tgz`
   * @param more options of npm
   * @throws Error with npm's words when it refuses
   */
  async install(
    from: string,
    files: readonly string[],
    more: readonly string[] = [],
  ): Promise<Installation> {
    for (const file of files) cpSync(join(from, file), this.folder.join(file));
    const options = ['--engine-strict', '--no-audit', '--no-fund', '--loglevel=warn'];
    const args = ['install', '--prefix', '.', ...options, ...more, ...files];
    const result = await this.run('npm', args);
    const said = result.stdout + result.stderr;
    if (result.status !== 0) throw new Error(`npm ${args.join(' ')}: ${said}`);
    const lock = readFileSync(this.folder.join('node_modules/.package-lock.json'), 'utf8');
    const { packages } = JSON.parse(lock) as {
      packages: Record<string, { readonly hasInstallScript?: boolean }>;
    };
    return {
      // Not what npm has to say of the configuration of this machine.
      warnings: (said.match(/^npm warn.*$/gim) ?? []).filter(
        (line) => !/ Unknown \w+ config /.test(line),
      ),
      scripts: Object.keys(packages).filter((name) => packages[name]?.hasInstallScript === true),
    };
  }

  stop(): Promise<void> {
    return this.folder.stop();
  }
}
