import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { findFreePort } from './free-port.js';
import { Program, type ProgramExit } from './program.js';
import type { Stoppable } from './resources.js';
import { TemporaryFolder } from './temporary-folder.js';
import type { TlsFiles } from './tls.js';

/** Options of ioredis but the one that changes the types of its replies. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>;

export interface RedisServerOptions {
  /** `unix` (default): a socket in the folder; `tcp`: a free port of 127.0.0.1. */
  readonly listen?: 'unix' | 'tcp';
  /** Where Redis keeps its files; default: a temporary folder of its own, removed by `stop()`. */
  readonly folder?: string;
  /** `yes` writes an AOF, synced at every write, so that `kill()` loses nothing. Default: neither AOF nor RDB. */
  readonly appendonly?: boolean;
  /** Password of the default user. */
  readonly password?: string;
  /** Serves TLS only, and asks clients for a certificate; needs `listen: 'tcp'`. */
  readonly tls?: TlsFiles;
  /** More lines of redis.conf, such as `maxmemory 10mb` or `user vault on >secret ~* +@all`. */
  readonly config?: readonly string[];
  /** Another server binary, such as a Valkey; default: `redis-server` of the PATH. */
  readonly binary?: string;
}

/** A real redis-server. It keeps its files and its address through `kill()` and `restart()`. */
export class RedisServer implements Stoppable {
  readonly folder: string;
  /** Set when it listens on a Unix socket. */
  readonly socketPath: string | undefined;
  /** Set when it listens on TCP. */
  readonly port: number | undefined;
  readonly #options: RedisServerOptions;
  readonly #ownFolder: TemporaryFolder | undefined;
  readonly #clients = new Set<Redis>();
  #program: Program | undefined;

  private constructor(
    options: RedisServerOptions,
    folder: string,
    ownFolder: TemporaryFolder | undefined,
    port: number | undefined,
  ) {
    this.#options = options;
    this.folder = folder;
    this.#ownFolder = ownFolder;
    this.port = port;
    this.socketPath = port === undefined ? join(folder, 'redis.sock') : undefined;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const ownFolder = options.folder === undefined ? new TemporaryFolder('vault-redis') : undefined;
    const folder = options.folder ?? (ownFolder as TemporaryFolder).path;
    mkdirSync(folder, { recursive: true });
    const port = options.listen === 'tcp' ? await findFreePort() : undefined;
    const server = new RedisServer(options, folder, ownFolder, port);
    try {
      await server.#launch();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get pid(): number {
    return this.#running().pid;
  }

  /** Redis' log. */
  get log(): string {
    return this.#program?.stdout ?? '';
  }

  /** `redis://…`, `rediss://…`, or the path of the socket: what ioredis takes as its first argument. */
  get url(): string {
    if (this.socketPath !== undefined) return this.socketPath;
    const { password, tls } = this.#options;
    const auth = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    return `redis${tls === undefined ? '' : 's'}://${auth}127.0.0.1:${this.port}/0`;
  }

  /** The address and credentials as options of ioredis. */
  get options(): ClientOptions {
    const { password, tls } = this.#options;
    return {
      ...(this.socketPath === undefined
        ? { host: '127.0.0.1', port: this.port as number }
        : { path: this.socketPath }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls: tls.clientOptions() }),
    };
  }

  /** A client of this server, closed by `stop()`. */
  client(options: ClientOptions = {}): Redis {
    const client = new Redis({ ...this.options, ...options });
    client.on('error', () => undefined); // tests see the failure of their command
    this.#clients.add(client);
    return client;
  }

  /** SIGKILL, as a crash: only what Redis has on disk is left. */
  async kill(): Promise<ProgramExit> {
    return this.#running().kill();
  }

  /** SIGSTOP: it accepts connections but answers nothing, until `resume()`. */
  pause(): void {
    this.#running().signal('SIGSTOP');
  }

  resume(): void {
    this.#running().signal('SIGCONT');
  }

  /** Starts it again on the same address and files, after `kill()` or (it is then shut down first) while it runs. */
  async restart(): Promise<void> {
    await this.#program?.stop();
    await this.#launch();
  }

  /** Closes the clients, ends Redis, removes the folder if it is its own. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    this.#clients.clear();
    await this.#program?.stop();
    await this.#ownFolder?.stop();
  }

  async #launch(): Promise<void> {
    const configPath = join(this.folder, 'redis.conf');
    writeFileSync(configPath, `${this.#configLines().join('\n')}\n`, { mode: 0o600 });
    const program = Program.start(this.#options.binary ?? 'redis-server', [configPath], {
      cwd: this.folder,
    });
    this.#program = program;
    // Printed once the data is loaded; the same words in 6.2 to 8 and in Valkey, for TCP and Unix sockets.
    await program.waitForOutput(/ready to accept connections/i);
    const client = new Redis({ ...this.options, lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.ping();
    } catch (error) {
      // A server whose default user is off or has another password is up all the same.
      if (!/NOAUTH|NOPERM|WRONGPASS/.test(String(error))) throw error;
    } finally {
      client.disconnect();
    }
  }

  #configLines(): string[] {
    const { appendonly = false, password, tls, config = [] } = this.#options;
    return [
      `dir ${this.folder}`,
      `port ${tls === undefined ? (this.port ?? 0) : 0}`,
      'bind 127.0.0.1',
      ...(this.socketPath === undefined ? [] : [`unixsocket ${this.socketPath}`]),
      'save ""',
      `appendonly ${appendonly ? 'yes' : 'no'}`,
      'appendfsync always',
      ...(password === undefined ? [] : [`requirepass ${JSON.stringify(password)}`]),
      ...(tls === undefined
        ? []
        : [
            `tls-port ${this.port ?? 0}`,
            `tls-ca-cert-file ${tls.caFile}`,
            `tls-cert-file ${tls.serverCertFile}`,
            `tls-key-file ${tls.serverKeyFile}`,
            'tls-auth-clients yes',
          ]),
      ...config,
    ];
  }

  #running(): Program {
    if (this.#program === undefined) throw new Error('redis-server was not started');
    return this.#program;
  }
}
