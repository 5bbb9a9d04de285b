/** A database on a real Redis that a test opens, closes, and opens again, with halves that stay. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { RedisServer } from '../../../test/harness/redis.js';
import type { RedisServerOptions } from '../../../test/harness/redis.js';
import { CredentialDatabase } from '../src/credential-database.js';
import type { KeyCustody } from '@vault/crypto';
import { DegradedError } from '../src/errors.js';
import type { OpenOptions } from '../src/open-options.js';
import { staticCustody } from '../src/keys/static-custody.js';
import { RecordingLogger, SERVER } from './store-fixture.js';

export const USER = {
  fields: { email: { type: 'string' }, pwHash: { type: 'secret' } },
  indexes: { email: { kind: 'unique', fields: ['email'] } },
} as const satisfies OpenOptions['collections'][string];

/** Keys, and what `DUMP` gives for each. */
export type RedisSnapshot = readonly (readonly [string, Buffer])[];

export class DatabaseFixture {
  readonly redis: RedisServer;
  readonly dataDir = mkdtempSync(join(tmpdir(), 'vault-db-'));
  readonly logger = new RecordingLogger();
  readonly client: Redis;
  custody: KeyCustody = staticCustody();
  readonly #open = new Set<CredentialDatabase>();

  private constructor(redis: RedisServer) {
    this.redis = redis;
    this.client = redis.client();
  }

  static async start(options: RedisServerOptions = { appendonly: true }): Promise<DatabaseFixture> {
    return DatabaseFixture.of(await RedisServer.start(options));
  }

  /** On a server that runs; {@link stop} stops it too. */
  static of(redis: RedisServer): DatabaseFixture {
    return new DatabaseFixture(redis);
  }

  async open(changes: Partial<OpenOptions> = {}): Promise<CredentialDatabase> {
    const database = await this.openBeside(changes);
    if (changes.role === 'tool') return database;
    // What it began at its start and goes on with beside serving: a test says when it wants to see that.
    const failure = await database.settled();
    if (failure === undefined) return database;
    await database.close();
    throw failure.error;
  }

  /** As {@link open}; what is under way goes on beside it. */
  async openBeside(changes: Partial<OpenOptions> = {}): Promise<CredentialDatabase> {
    const database = await CredentialDatabase.open(this.#options(changes));
    this.#open.add(database);
    return database;
  }

  #options(changes: Partial<OpenOptions>): OpenOptions {
    return {
      redis: { socketPath: this.redis.socketPath ?? '', maxRetriesPerRequest: 1 },
      collections: { server: SERVER, user: USER },
      custody: this.custody,
      dataDir: this.dataDir,
      encrypt: true,
      logger: this.logger,
      ...changes,
    };
  }

  /** An empty Redis, an empty data folder, no halves. */
  async reset(): Promise<void> {
    await this.client.flushall();
    for (const name of this.files()) rmSync(join(this.dataDir, name), { recursive: true });
    this.custody = staticCustody();
    this.logger.lines.length = 0;
  }

  /** Opens, uses, and closes again. */
  async using<T>(
    changes: Partial<OpenOptions>,
    use: (database: CredentialDatabase) => Promise<T>,
  ): Promise<T> {
    const database = await this.open(changes);
    try {
      return await use(database);
    } finally {
      await database.close();
    }
  }

  /** Opens, which must fail. @returns how */
  async openDegraded(changes: Partial<OpenOptions> = {}): Promise<DegradedError> {
    try {
      await this.open(changes);
    } catch (error) {
      if (error instanceof DegradedError) return error;
      throw error;
    }
    throw new Error('expected a degraded database, it opened');
  }

  /** All that Redis holds now, but for the lock, which would not end by itself where it was put back. */
  async snapshot(): Promise<RedisSnapshot> {
    const keys = (await this.client.keys('*')).filter((key) => !key.endsWith(':{meta}:lock'));
    return Promise.all(keys.map(async (key) => [key, await this.client.dumpBuffer(key)] as const));
  }

  /** Redis comes back as it was, at one instant. */
  async rollBack(snapshot: RedisSnapshot): Promise<void> {
    const all = this.client.multi().flushall();
    for (const [key, value] of snapshot) all.restore(key, 0, value);
    await all.exec();
  }

  /** Every byte of Redis: key names and values. */
  async dump(): Promise<string> {
    const parts: string[] = [];
    for (const key of (await this.client.keys('*')).toSorted()) {
      const type = await this.client.type(key);
      if (type === 'string')
        parts.push(key, (await this.client.getBuffer(key))?.toString('latin1') ?? '');
      else if (type === 'set') parts.push(key, ...(await this.client.smembers(key)).toSorted());
      else parts.push(key, ...(await this.client.zrange(key, '0', '-1')));
    }
    return parts.join('\n');
  }

  /** As {@link dump}, only records and index entries. */
  async dumpRecords(): Promise<string> {
    const keys = await this.client.keys('vault:{*}:r:*');
    const values = await Promise.all(
      keys
        .toSorted()
        .map(async (key) => [key, (await this.client.getBuffer(key))?.toString('hex')]),
    );
    return values.flat().join('\n');
  }

  readFile(name: string): string {
    return readFileSync(join(this.dataDir, name), 'utf8');
  }

  /** Permission bits. */
  modeOf(name: string): number {
    return statSync(join(this.dataDir, name)).mode & 0o777;
  }

  removeFile(name: string): void {
    rmSync(join(this.dataDir, name));
  }

  /** Names of files in the data folder. */
  files(): string[] {
    return readdirSync(this.dataDir).toSorted();
  }

  /** Whether a text stands in any file of Redis. */
  isInRedisFiles(text: string): boolean {
    return readdirSync(this.redis.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .some((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(text));
  }

  /** Closes what a test left open. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#open].map((database) => database.close()));
    this.#open.clear();
  }

  async stop(): Promise<void> {
    await this.closeAll();
    await this.redis.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** Adds records whose values a test can look for. */
export async function fill(database: CredentialDatabase, count: number): Promise<void> {
  const servers = database.collection('server');
  await Promise.all(
    Array.from({ length: count }, async (_, n) =>
      servers.add(
        { host: `host-${n}.marker.example`, username: `root${n % 3}`, password: `SECRET-${n}` },
        { id: `server-${String(n).padStart(5, '0')}` },
      ),
    ),
  );
  await database
    .collection('user')
    .add({ email: 'Ada@Marker.example', pwHash: 'HASH-SECRET' }, { id: 'ada' });
}

/** Everything that is filled in, read by id and by each index. */
export async function contents(database: CredentialDatabase): Promise<unknown> {
  const servers = database.collection('server');
  const page = await servers.list({ limit: 1000 });
  const byIndex = await Promise.all(
    page.records.map(async ({ record }) =>
      (await servers.find({ host: record['host'] ?? '' })).map(({ id }) => id),
    ),
  );
  const ada = await database.collection('user').find({ email: 'ada@marker.EXAMPLE' });
  return {
    records: page.records.map(({ id, record }) => ({ id, record })),
    unreadable: page.unreadable.length,
    byIndex,
    root1: (await servers.find({ username: 'ROOT1' })).map(({ id }) => id),
    ada: ada.map(({ id, record }) => ({ id, record })),
  };
}
