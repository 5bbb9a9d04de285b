import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify, type TomlTable } from 'smol-toml';
import { findFreePort } from './free-port.js';
import { Program, runProgram, type ProgramExit, type ProgramResult } from './program.js';
import type { Stoppable } from './resources.js';
import { killProcessesIn, TemporaryFolder } from './temporary-folder.js';

const BINARY = join(import.meta.dirname, '../../packages/rpc-server/bin/vault-server.js');
/** A start may migrate a few thousand records on a busy machine. */
const START_LIMIT_MS = 40_000;

/** The first administrator of every server that the tests start. */
export const TEST_ADMIN = {
  email: 'admin@example.org',
  password: 'correct horse battery',
} as const;

export interface VaultServerOptions {
  /** Tables of config.toml; `datadir` and `http.listen` have defaults (in the folder, a free port of 127.0.0.1). */
  readonly config?: TomlTable;
  /** Added to the environment: `XENSTORED_PATH`, `VAULT_…`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Holds configuration and data; default: a temporary folder of its own, removed by `stop()`. */
  readonly folder?: string;
  /** Arguments before `--config`; default: none, which starts the server. */
  readonly args?: readonly string[];
}

/**
 * A real vault-server process with a configuration of its own. Both halves of the key live in files of the folder
 * unless `config.keystore` says otherwise. `restart()` keeps folder, port and configuration.
 */
export class VaultServer implements Stoppable {
  readonly folder: string;
  readonly configPath: string;
  readonly dataDir: string;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** `ready` or `degraded`, as it said on its standard output. */
  state: 'ready' | 'degraded' | undefined;
  readonly #ownFolder: TemporaryFolder | undefined;
  readonly #args: readonly string[];
  #config: TomlTable;
  #env: Readonly<Record<string, string>>;
  #program: Program | undefined;
  #earlierLog = '';

  private constructor(
    options: VaultServerOptions,
    folder: string,
    ownFolder: TemporaryFolder | undefined,
    port: number,
  ) {
    this.folder = folder;
    this.#ownFolder = ownFolder;
    this.configPath = join(folder, 'config.toml');
    this.dataDir = join(folder, 'data');
    this.url = `http://127.0.0.1:${port}`;
    this.#args = options.args ?? [];
    this.#env = options.env ?? {};
    this.#config = {
      datadir: this.dataDir,
      keystore: {
        halfA: { source: 'file', path: join(folder, 'half-a') },
        halfB: { source: 'file', path: join(this.dataDir, 'vault-encryption-key') },
      },
      ...options.config,
      http: {
        listen: `127.0.0.1:${port}`,
        recoveryPort: 0,
        ...(options.config?.['http'] as TomlTable | undefined),
      },
    };
  }

  /** Starts it, and waits until it says that it is ready or degraded. @throws Error with its output when it ends instead */
  static async start(options: VaultServerOptions = {}): Promise<VaultServer> {
    const server = await VaultServer.prepare(options);
    try {
      await server.launch();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Writes the configuration and starts nothing: for {@link run}, and for tests that watch the start itself. */
  static async prepare(options: VaultServerOptions = {}): Promise<VaultServer> {
    const own = options.folder === undefined ? new TemporaryFolder('vault-server') : undefined;
    const folder = options.folder ?? (own as TemporaryFolder).path;
    mkdirSync(folder, { recursive: true });
    return new VaultServer(options, folder, own, await findFreePort());
  }

  get webSocketUrl(): string {
    return `${this.url.replace('http', 'ws')}/api/`;
  }

  /** Where it is reached in recovery mode, as it said. */
  get recoveryUrl(): string {
    const [, url] = /^vault-server recovery on (\S+)$/m.exec(this.stdout) ?? [];
    if (url === undefined) throw new Error('vault-server is not in recovery mode');
    return url;
  }

  get pid(): number {
    return this.#running().pid;
  }

  get isRunning(): boolean {
    return this.#program?.isRunning ?? false;
  }

  /** Standard output since the last start. */
  get stdout(): string {
    return this.#program?.stdout ?? '';
  }

  /** Standard error since the last start: the log. */
  get stderr(): string {
    return this.#program?.stderr ?? '';
  }

  /** Everything that was ever printed, over all restarts: to look for secrets in. */
  get allOutput(): string {
    return this.#earlierLog + this.stdout + this.stderr;
  }

  /** Starts the process with the configuration as it is now. */
  async launch(): Promise<void> {
    await this.spawn().waitForOutput(/^vault-server (ready|degraded) on (\S+)$/m, {
      limitMs: START_LIMIT_MS,
    });
    this.state = /^vault-server degraded on/m.test(this.stdout) ? 'degraded' : 'ready';
  }

  /** Starts the process and does not wait: for tests that kill it on its way up. */
  spawn(): Program {
    this.#earlierLog = this.allOutput;
    this.state = undefined;
    writeFileSync(this.configPath, stringify(this.#config), { mode: 0o600 });
    const args = [BINARY, ...this.#args, '--config', this.configPath];
    this.#program = Program.start(process.execPath, args, {
      cwd: this.folder,
      env: this.#environment(),
    });
    return this.#program;
  }

  /** Runs a command beside the server (`['verify']`, `['status', '--json']`) on the same configuration. */
  async run(args: readonly string[], input?: string): Promise<ProgramResult> {
    if (!existsSync(this.configPath)) {
      writeFileSync(this.configPath, stringify(this.#config), { mode: 0o600 });
    }
    return runProgram(process.execPath, [BINARY, ...args, '--config', this.configPath], {
      cwd: this.folder,
      env: this.#environment(),
      ...(input === undefined ? {} : { input }),
    });
  }

  /** Replaces tables of the configuration; it is written at the next start. */
  configure(changes: TomlTable): void {
    this.#config = { ...this.#config, ...changes };
  }

  /** Replaces variables of the environment of the next start. */
  setEnvironment(env: Readonly<Record<string, string>>): void {
    this.#env = { ...this.#env, ...env };
  }

  /** The configuration as last written. */
  readConfig(): string {
    return readFileSync(this.configPath, 'utf8');
  }

  /** SIGTERM, then a new start, with `changes` to the configuration. */
  async restart(changes: TomlTable = {}): Promise<void> {
    await this.terminate();
    this.configure(changes);
    await this.launch();
  }

  /** SIGTERM, as an operator's stop; the folder stays. @returns how it ended: status 0 is right */
  async terminate(): Promise<ProgramExit> {
    return this.#running().stop();
  }

  /** SIGKILL, as a power failure of the server alone: a Redis that it started may live on. */
  async kill(): Promise<ProgramExit> {
    return this.#running().kill();
  }

  /** Ends all of it and removes the folder if it is its own. */
  async stop(): Promise<void> {
    await this.#program?.stop();
    killProcessesIn(this.folder);
    await this.#ownFolder?.stop();
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      HOME: this.folder,
      VAULT_ADMIN_EMAIL: TEST_ADMIN.email,
      VAULT_ADMIN_PASSWORD: TEST_ADMIN.password,
      // c8 measures children too
      ...(process.env['NODE_V8_COVERAGE'] === undefined
        ? {}
        : { NODE_V8_COVERAGE: process.env['NODE_V8_COVERAGE'] }),
      ...this.#env,
    };
  }

  #running(): Program {
    if (this.#program === undefined) throw new Error('vault-server was not started');
    return this.#program;
  }
}
