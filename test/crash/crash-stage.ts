/** One small database on a real Redis behind a proxy, which is put back to how it was before each case. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createHalfSource, SplitKeystore } from '@vault/keystore';
import type { HalfSourceConfig } from '@vault/keystore';
import { CredentialDatabase } from '@vault/redis-store';
import type { OpenOptions, RedisOptions } from '@vault/redis-store';
import type { Redis } from 'ioredis';
import { RedisServer, type RedisServerOptions } from '../harness/redis.js';
import { Resources, type Stoppable } from '../harness/resources.js';
import { TcpProxy } from '../harness/tcp-proxy.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { COLLECTIONS, INITIAL, outcomesOf } from './records.js';
import type { Contents } from './records.js';
import { StoreProcess, type Order } from './store-process.js';

/** What a case begins with: the dozen records plain, encrypted, or encrypted with an inactive key beside. */
export type Base = 'plain' | 'encrypted' | 'rotated';

interface Snapshot {
  readonly keys: readonly (readonly [string, Buffer])[];
  readonly folder: string;
  readonly halfA: string;
}

/** Redis packs texts in its files and dumps otherwise, where no search would find them. */
export const PLAIN_FILES: readonly string[] = ['rdbcompression no'];

export interface StageOptions {
  readonly redis?: RedisServerOptions;
  /** Redis makes a snapshot of the base before each case. */
  readonly savesBase?: true;
  /** Half A; default: a file beside the data folder. */
  readonly halfA?: HalfSourceConfig;
  /** Where half A is no file: how its text is read and put back. `''` is none. */
  readonly keeperOfA?: {
    readonly read: () => Promise<string>;
    readonly write: (text: string) => Promise<void>;
  };
}

export class CrashStage implements Stoppable {
  readonly redis: RedisServer;
  readonly proxy: TcpProxy;
  /** A client that does not go through the proxy. */
  client: Redis;
  /** Half A (where it is a file) and the data folder with half B. */
  readonly folder: string;
  readonly dataDir: string;
  readonly halves: Order['halves'];
  readonly #resources: Resources;
  readonly #keeperOfA: StageOptions['keeperOfA'];
  readonly #savesBase: boolean;
  readonly #snapshots = new Map<Base, Snapshot>();
  readonly #snapshotFolder: TemporaryFolder;
  /** Whether the case before may have left some in the files of Redis. */
  #isPlaintextInFiles = true;

  private constructor(
    resources: Resources,
    redis: RedisServer,
    proxy: TcpProxy,
    options: StageOptions,
  ) {
    this.#resources = resources;
    this.#keeperOfA = options.keeperOfA;
    this.#savesBase = options.savesBase ?? false;
    this.redis = redis;
    this.proxy = proxy;
    this.client = redis.client();
    this.folder = resources.use(new TemporaryFolder('vault-crash')).path;
    this.#snapshotFolder = resources.use(new TemporaryFolder('vault-crash-base'));
    this.dataDir = join(this.folder, 'data');
    const fileA: HalfSourceConfig = { source: 'file', path: join(this.folder, 'half-a') };
    const fileB: HalfSourceConfig = { source: 'file', path: join(this.dataDir, 'half-b') };
    this.halves = [options.halfA ?? fileA, fileB];
  }

  static async start(options: StageOptions = {}): Promise<CrashStage> {
    const resources = new Resources();
    const redis = resources.use(
      await RedisServer.start(options.redis ?? { appendonly: true, config: PLAIN_FILES }),
    );
    const sockets = resources.use(new TemporaryFolder('vault-proxy'));
    const proxy = resources.use(
      await TcpProxy.start({
        target: { path: redis.socketPath ?? '' },
        listenPath: sockets.join('redis.sock'),
      }),
    );
    return new CrashStage(resources, redis, proxy, options);
  }

  /** Options for a database in this process, past the proxy. */
  options(encrypt: boolean): OpenOptions {
    const environment = {
      variables: { PATH: process.env['PATH'] },
      dataDir: this.dataDir,
      userId: process.geteuid?.(),
      groupId: process.getegid?.(),
    };
    const [halfA, halfB] = this.halves;
    return {
      redis: { socketPath: this.redis.socketPath ?? '' },
      collections: COLLECTIONS,
      custody: new SplitKeystore({
        halfA: createHalfSource(halfA, environment, 'half A'),
        halfB: createHalfSource(halfB, environment, 'half B'),
      }),
      dataDir: this.dataDir,
      encrypt,
      ownRedis: this.#isOwnRedis,
    };
  }

  /** What a child is told: as {@link options}, but through the proxy, with time limits that a case can wait for. */
  order(encrypt: boolean, steps: Order['steps'] = []): Order {
    const redis: RedisOptions = {
      socketPath: this.proxy.path ?? '',
      commandTimeoutMs: 800,
      connectTimeoutMs: 1000,
    };
    const { dataDir, halves } = this;
    const ownRedis = this.#isOwnRedis;
    return { redis, ownRedis, collections: COLLECTIONS, dataDir, halves, encrypt, steps };
  }

  /** Opens the database in this process, uses it, and closes it. @throws DegradedError as any start */
  async using<T>(encrypt: boolean, use: (database: CredentialDatabase) => Promise<T>): Promise<T> {
    const database = await CredentialDatabase.open(this.options(encrypt));
    try {
      const failure = await database.settled();
      if (failure !== undefined) throw failure.error;
      return await use(database);
    } finally {
      await database.close();
    }
  }

  /**
   * Everything as at the end of making the base: keys of Redis, files, halves.
   * @param encrypt the setting of the case: where nothing is ever plain, the files of Redis begin without plaintext
   */
  async reset(base: Base, encrypt: boolean): Promise<void> {
    this.proxy.reset();
    const snapshot = this.#snapshots.get(base) ?? (await this.#make(base));
    await this.#clear();
    const isNeverPlain = base !== 'plain' && encrypt;
    if (isNeverPlain && this.#isPlaintextInFiles) await this.#rewriteFiles();
    this.#isPlaintextInFiles = !isNeverPlain;
    cpSync(snapshot.folder, this.folder, { recursive: true });
    await this.#keeperOfA?.write(snapshot.halfA);
    const restoring = this.client.pipeline();
    for (const [key, value] of snapshot.keys) restoring.restore(key, 0, value);
    for (const [error] of (await restoring.exec()) ?? []) if (error !== null) throw error;
    if (this.#savesBase) await this.client.save();
  }

  /** SIGKILL for Redis, and a new start on what it has on disk. */
  async crashRedis(): Promise<void> {
    await this.redis.kill();
    await this.redis.restart();
  }

  /** The names of all files below the folder of the case. */
  files(): string[] {
    return filesBelow(this.folder).map((path) => path.slice(this.folder.length + 1));
  }

  /** Every byte that is kept anywhere, by where: keys and values of Redis, its files, and the folder of the case. */
  async allBytes(): Promise<ReadonlyMap<string, Buffer>> {
    const keys = await this.client.keys('*');
    const values = await Promise.all(keys.map((key) => this.client.dumpBuffer(key)));
    const files = [...filesBelow(this.folder), ...filesBelow(this.redis.folder)];
    return new Map([
      ...keys.map((key, n) => {
        const bytes = Buffer.concat([Buffer.from(key), values[n] ?? Buffer.alloc(0)]);
        return [`key ${key}`, bytes] as const;
      }),
      ...files.map((path) => [path, readFileSync(path)] as const),
    ]);
  }

  async stop(): Promise<void> {
    await this.#resources.stop();
  }

  async #clear(): Promise<void> {
    await this.client.flushall();
    for (const name of readdirSync(this.folder)) {
      rmSync(join(this.folder, name), { recursive: true, force: true });
    }
    mkdirSync(this.dataDir, { mode: 0o700 });
    await this.#keeperOfA?.write('');
  }

  /** A Redis of the server's own never makes snapshots. */
  get #isOwnRedis(): boolean {
    return !this.#savesBase;
  }

  async #rewriteFiles(): Promise<void> {
    if (this.#savesBase) return; // its one file is made anew as soon as the base is there
    await this.client.bgrewriteaof();
    while (!(await this.client.info('persistence')).includes('aof_rewrite_in_progress:0')) {
      await delay(5);
    }
  }

  async #make(base: Base): Promise<Snapshot> {
    await this.#clear();
    this.#isPlaintextInFiles = true;
    await this.using(false, fill);
    if (base !== 'plain') {
      await this.using(true, async (database) => {
        if (base === 'rotated') await database.rotateKey();
      });
    }
    const folder = this.#snapshotFolder.join(base);
    cpSync(this.folder, folder, { recursive: true });
    const names = await this.client.keys('*');
    const keys = await Promise.all(
      names.map(async (key) => [key, await this.client.dumpBuffer(key)] as const),
    );
    const halfA = (await this.#keeperOfA?.read()) ?? '';
    const snapshot = { keys, folder, halfA };
    this.#snapshots.set(base, snapshot);
    return snapshot;
  }
}

async function fill(database: CredentialDatabase): Promise<void> {
  for (const [name, record] of INITIAL) {
    const [collection = '', id = ''] = name.split(' ');
    await database.collection(collection).add(record, { id });
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Children that have loaded their modules while the case before ran. */
export class WarmProcesses implements Stoppable {
  readonly #env: Readonly<Record<string, string>>;
  #next: StoreProcess | undefined;

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.#env = env;
  }

  /** One that waits for its order; another one warms up meanwhile. */
  take(): StoreProcess {
    const taken = this.#next ?? new StoreProcess(this.#env);
    this.#next = new StoreProcess(this.#env);
    return taken;
  }

  async stop(): Promise<void> {
    await this.#next?.stop();
  }
}

/** Contents that are right after a case: `acknowledged` steps are done, the one after may be. */
export function allowedContents(
  steps: Order['steps'],
  acknowledged: readonly unknown[],
): readonly Contents[] {
  let done: Contents = INITIAL;
  steps.slice(0, acknowledged.length).forEach((each, n) => {
    const result = acknowledged[n];
    const winner = each.do === 'claim' && Array.isArray(result) ? String(result[0]) : undefined;
    const narrowed = winner === undefined ? each : { ...each, ids: [winner] };
    done = outcomesOf(done, each.do === 'claim' ? narrowed : each)[0] ?? done;
  });
  const next = steps[acknowledged.length];
  return next === undefined ? [done] : [done, ...outcomesOf(done, next)];
}
