/** The faces of the server on a real Redis, with one administrator. */
import type { StoreLogger } from '@vault/redis-store';
import { BUILTIN_COLLECTIONS } from '../src/builtin-collections.js';
import { createApi } from '../src/http/api-server.js';
import type { Api } from '../src/http/api-server.js';
import { usersOf } from '../src/http/serving.js';
import { resolveLimits } from '../src/limits.js';
import type { Limits } from '../src/limits.js';
import type { ConfigBackup, ImportResult } from '../src/backup/port.js';
import { ensureFirstAdministrator } from '../src/session/first-administrator.js';
import { openTestDatabase } from './test-database.js';
import type { TestDatabase } from './test-database.js';
import { RpcClient } from './rpc-client.js';
import type { ClientOptions } from './rpc-client.js';

export const ADMIN = { email: 'admin@example.org', password: 'correct horse battery' } as const;

/** Argon2id with the least memory: these tests are not about its cost. */
const FAST: Partial<Limits> = { passwordMemoryKiB: 8 * 1024 };

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Keeps all lines. */
export class RecordingLogger implements StoreLogger {
  readonly lines: LogLine[] = [];
  debug = this.#at('debug');
  info = this.#at('info');
  warn = this.#at('warn');
  error = this.#at('error');

  #at(level: string) {
    return (message: string, data: Readonly<Record<string, unknown>> = {}): void => {
      this.lines.push({ level, message, data });
    };
  }

  /** Everything that was logged, as text. */
  get text(): string {
    return JSON.stringify(this.lines);
  }
}

/** What an import says that nothing is remarkable about. */
export const IMPORTED: ImportResult = {
  records: 3,
  collections: {},
  added: 3,
  changed: 0,
  unchanged: 0,
  replaced: [],
  dryRun: false,
  refused: { count: 0, records: [] },
  missingInBackup: 0,
};

/** A backup that no test of this file's users calls by accident. */
export const NO_BACKUP: ConfigBackup = {
  export: () => {
    throw new Error('this test has no backup');
  },
  import: () => Promise.reject(new Error('this test has no backup')),
};

export interface FixtureOptions {
  readonly limits?: Partial<Limits>;
  readonly backup?: ConfigBackup;
  readonly allowedHosts?: readonly string[];
  readonly allowedOrigins?: readonly string[];
  readonly trustedProxies?: readonly string[];
  readonly localSocket?: string;
}

export class ApiFixture {
  readonly api: Api;
  readonly url: string;
  readonly store: TestDatabase;
  readonly logger: RecordingLogger;
  /** Added to the clock of the server. */
  readonly clock: { aheadMs: number };
  readonly #clients: RpcClient[] = [];
  readonly #options: FixtureOptions;
  readonly #others: ApiFixture[] = [];

  private constructor(
    fields: Pick<ApiFixture, 'api' | 'url' | 'store' | 'logger' | 'clock'>,
    options: FixtureOptions,
  ) {
    this.#options = options;
    this.api = fields.api;
    this.url = fields.url;
    this.store = fields.store;
    this.logger = fields.logger;
    this.clock = fields.clock;
  }

  static async start(options: FixtureOptions = {}): Promise<ApiFixture> {
    let served: Api | undefined;
    const store = await openTestDatabase(BUILTIN_COLLECTIONS, (progress) => {
      served?.serving?.services.progress.report(progress);
    });
    const logger = new RecordingLogger();
    const clock = { aheadMs: 0 };
    const limits = { ...FAST, ...options.limits };
    const users = usersOf(store.database, resolveLimits(limits));
    await ensureFirstAdministrator(store.database, users, ADMIN);
    const api = createApi({
      listen: { host: '127.0.0.1', port: 0 },
      limits,
      collections: BUILTIN_COLLECTIONS,
      logger,
      version: '1.2.3',
      now: () => Date.now() + clock.aheadMs,
      allowedHosts: options.allowedHosts ?? [],
      allowedOrigins: options.allowedOrigins ?? [],
      trustedProxies: options.trustedProxies ?? [],
      ...(options.localSocket === undefined ? {} : { localSocket: options.localSocket }),
    });
    api.setState({
      mode: 'serving',
      database: store.database,
      backup: options.backup ?? NO_BACKUP,
    });
    served = api;
    const url = await api.listen();
    return new ApiFixture({ api, url, store, logger, clock }, options);
  }

  /** Another server on the same Redis. */
  async another(): Promise<ApiFixture> {
    const { store, clock } = this;
    const logger = new RecordingLogger();
    const api = createApi({
      listen: { host: '127.0.0.1', port: 0 },
      limits: { ...FAST, ...this.#options.limits },
      collections: BUILTIN_COLLECTIONS,
      logger,
      version: '1.2.3',
      now: () => Date.now() + clock.aheadMs,
    });
    api.setState({ mode: 'serving', database: await store.openAnother(), backup: NO_BACKUP });
    const url = await api.listen();
    const other = new ApiFixture({ api, url, store, logger, clock }, this.#options);
    this.#others.push(other);
    return other;
  }

  /** A connection that nobody has signed in on. */
  async connect(options: ClientOptions = {}): Promise<RpcClient> {
    const client = await RpcClient.connect(this.url, options);
    this.#clients.push(client);
    return client;
  }

  async signIn(credentials: object = ADMIN, options: ClientOptions = {}): Promise<RpcClient> {
    const client = await this.connect(options);
    await client.call('session.signIn', credentials);
    return client;
  }

  /** A connection of a new user. */
  async userWith(permission: string, more: object = {}): Promise<RpcClient & { userId: string }> {
    const admin = await this.signIn();
    const credentials = { email: `${permission}${this.#clients.length}`, password: 'long enough' };
    const userId = await admin.call<string>('user.create', { ...credentials, permission, ...more });
    const client = await this.signIn(credentials);
    return Object.assign(client, { userId });
  }

  async stop(): Promise<void> {
    for (const other of this.#others) await other.api.close();
    await this.api.close();
    await this.store.stop();
  }
}
