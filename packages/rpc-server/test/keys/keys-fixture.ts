/** A database on a real Redis whose halves are real sources, that a test opens, closes and opens again. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { createHalfSource, SplitKeystore } from '@vault/keystore';
import type { HalfSourceConfig } from '@vault/keystore';
import { CredentialDatabase, DegradedError } from '@vault/redis-store';
import type { OpenOptions } from '@vault/redis-store';
import { RedisServer } from '../../../../test/harness/redis.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { RecordingLogger } from '../api-fixture.js';

const COLLECTIONS = {
  server: {
    fields: { host: { type: 'string' }, password: { type: 'secret' } },
    indexes: { host: { kind: 'exact', fields: ['host'] } },
  },
} as const satisfies OpenOptions['collections'];

export class KeysFixture {
  readonly redis: RedisServer;
  readonly client: Redis;
  readonly folder = new TemporaryFolder('vault-keys');
  readonly dataDir = this.folder.join('data');
  readonly logger = new RecordingLogger();
  halfA: HalfSourceConfig = { source: 'file', path: this.folder.join('half-a') };
  halfB: HalfSourceConfig = { source: 'file', path: this.folder.join('half-b') };
  variables: Record<string, string> = {};
  readonly #open = new Set<CredentialDatabase>();

  private constructor(redis: RedisServer) {
    this.redis = redis;
    this.client = redis.client();
    mkdirSync(this.dataDir);
  }

  static async start(): Promise<KeysFixture> {
    return new KeysFixture(await RedisServer.start({ appendonly: true }));
  }

  /** As a process that starts now: it reads the environment anew. */
  custody(): SplitKeystore {
    const environment = {
      variables: { ...this.variables },
      dataDir: this.dataDir,
      userId: process.geteuid?.(),
      groupId: process.getegid?.(),
    };
    return new SplitKeystore({
      halfA: createHalfSource(this.halfA, environment),
      halfB: createHalfSource(this.halfB, environment),
    });
  }

  options(changes: Partial<OpenOptions> = {}): OpenOptions {
    return {
      redis: { socketPath: this.redis.socketPath ?? '', maxRetriesPerRequest: 1 },
      collections: COLLECTIONS,
      custody: this.custody(),
      dataDir: this.dataDir,
      encrypt: true,
      logger: this.logger,
      ...changes,
    };
  }

  async open(changes: Partial<OpenOptions> = {}): Promise<CredentialDatabase> {
    const database = await CredentialDatabase.open(this.options(changes));
    this.#open.add(database);
    return database;
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

  /** Path of a half that is a file. */
  path(half: 'A' | 'B'): string {
    const config = half === 'A' ? this.halfA : this.halfB;
    if (config.source !== 'file' || config.path === undefined) throw new Error('no file');
    return config.path;
  }

  plant(half: 'A' | 'B', value: string | Uint8Array): void {
    rmSync(this.path(half), { force: true });
    writeFileSync(this.path(half), value, { mode: 0o400 });
  }

  /** Lines of a half that is a file. */
  lines(half: 'A' | 'B'): readonly string[] {
    return readFileSync(this.path(half), 'utf8').trim().split('\n');
  }

  /** Every file of both halves and beside them, byte for byte. */
  halfFiles(): readonly (readonly [string, string])[] {
    return readdirSync(this.folder.path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(this.folder.join(name), 'hex')] as const)
      .toSorted(([one], [other]) => one.localeCompare(other));
  }

  /** Every key of Redis and what `DUMP` gives for it. */
  async stored(): Promise<readonly (readonly [string, string])[]> {
    const keys = (await this.client.keys('*')).toSorted();
    return Promise.all(
      keys.map(
        async (key) => [key, (await this.client.dumpBuffer(key))?.toString('hex') ?? ''] as const,
      ),
    );
  }

  forgetWitness(): void {
    rmSync(join(this.dataDir, 'vault-state'));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#open].map((database) => database.close()));
    await this.redis.stop();
    await this.folder.stop();
  }
}

/** Adds records whose secrets a test can look for. */
export async function fill(database: CredentialDatabase, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      database
        .collection('server')
        .add({ host: `host-${n}.example.org`, password: `SECRET-${n}` }, { id: `server-${n}` }),
    ),
  );
}

/** Every record, by id. */
export async function contents(database: CredentialDatabase): Promise<unknown> {
  const { records, unreadable } = await database.collection('server').list({ limit: 1000 });
  return { records: records.map(({ id, record }) => ({ id, record })), unreadable };
}
