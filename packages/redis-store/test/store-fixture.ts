/** A collection on a real Redis, with a view that the test sets. */
import { KeyHalf, VaultKey } from '@vault/crypto';
import { RedisServer } from '../../../test/harness/redis.js';
import { Collection } from '../src/collections/collection.js';
import { checkDefinitions, canonicalDefinitions } from '../src/records/collection-definition.js';
import type { CollectionDefinition } from '../src/records/collection-definition.js';
import type { DatabaseView, StoredForm, ViewSource } from '../src/state/database-state.js';
import { fenceBytes } from '../src/state/fence.js';
import { KeyNames } from '../src/redis/key-names.js';
import { partitionsOf } from '../src/partitions/partition.js';
import { RedisLink } from '../src/redis/redis-link.js';
import type { RedisOptions } from '../src/redis/redis-options.js';
import type { StoreLogger } from '../src/store-logger.js';

export const SERVER: CollectionDefinition = {
  fields: {
    host: { type: 'string', optional: false },
    label: { type: 'string' },
    username: { type: 'string' },
    email: { type: 'string' },
    port: { type: 'number' },
    enabled: { type: 'boolean' },
    tags: { type: 'json' },
    password: { type: 'secret' },
  },
  indexes: {
    host: { kind: 'unique', fields: ['host'] },
    username: { kind: 'exact', fields: ['username'] },
    byAccount: { kind: 'exact', fields: ['host', 'username'] },
    emailDomain: { kind: 'exact', fields: ['email'], transform: 'emailDomain' },
  },
};

export function newKey(): VaultKey {
  return VaultKey.derive(KeyHalf.generate(), KeyHalf.generate());
}

/** Tells lines of the log apart in a test. */
export class RecordingLogger implements StoreLogger {
  readonly lines: { level: string; message: string; data: Readonly<Record<string, unknown>> }[] =
    [];
  debug(message: string, data = {}): void {
    this.lines.push({ level: 'debug', message, data });
  }
  info(message: string, data = {}): void {
    this.lines.push({ level: 'info', message, data });
  }
  warn(message: string, data = {}): void {
    this.lines.push({ level: 'warn', message, data });
  }
  error(message: string, data = {}): void {
    this.lines.push({ level: 'error', message, data });
  }
}

/** A view that a test changes by hand; `reload` gives what `next` was set to. */
export class TestViews implements ViewSource {
  view: DatabaseView;
  next: DatabaseView | undefined;
  reloads = 0;
  constructor(view: DatabaseView) {
    this.view = view;
  }
  current(): DatabaseView {
    return this.view;
  }
  async stands(view: DatabaseView): Promise<boolean> {
    return Promise.resolve(view === (this.next ?? this.view));
  }
  async reload(): Promise<DatabaseView> {
    this.reloads++;
    this.view = this.next ?? this.view;
    return Promise.resolve(this.view);
  }
}

/** Records of a collection as they are under a key, or in plaintext. */
export function formOf(key: VaultKey | undefined, definition: CollectionDefinition): StoredForm {
  return { key, definitions: canonicalDefinitions({ server: definition }) };
}

/** At rest, unless `changes` say otherwise. */
export function viewOf(
  key: VaultKey | undefined,
  definition: CollectionDefinition,
  changes: Partial<DatabaseView> = {},
): DatabaseView {
  return {
    databaseId: '00000000-0000-4000-8000-000000000000',
    epoch: 1,
    state: key === undefined ? 'plaintext' : 'encrypted',
    signingKey: key,
    written: formOf(key, definition),
    before: undefined,
    ...changes,
  };
}

export interface LinkedStore {
  readonly link: RedisLink;
  readonly views: TestViews;
  readonly logger: RecordingLogger;
  readonly servers: Collection;
  readonly definition: CollectionDefinition;
  /** Puts the fence of a view in every partition. */
  raiseFences(view: DatabaseView): Promise<void>;
  stop(): Promise<void>;
}

export interface StoreFixture extends LinkedStore {
  readonly redis: RedisServer;
}

/**
 * A collection on a Redis that the test has started.
 * @param key `undefined`: plaintext
 */
export async function linkStore(
  redis: RedisOptions,
  key: VaultKey | undefined,
  definition: CollectionDefinition = SERVER,
  prefix = 'vault',
): Promise<LinkedStore> {
  checkDefinitions({ server: definition });
  const link = await RedisLink.connect(redis, new KeyNames(prefix));
  const views = new TestViews(viewOf(key, definition));
  const logger = new RecordingLogger();
  const servers = new Collection(link, 'server', definition, views, logger);
  const raiseFences = async (view: DatabaseView): Promise<void> => {
    for (const partition of partitionsOf(link, 'server', definition)) {
      // oxlint-disable-next-line no-await-in-loop -- a handful of partitions
      await partition.swapFence(
        // oxlint-disable-next-line no-await-in-loop
        await partition.readFence(),
        fenceBytes(view, prefix, partition.name),
      );
    }
  };
  await raiseFences(views.view);
  return { link, views, logger, servers, definition, raiseFences, stop: () => link.close() };
}

/** @param key `undefined`: plaintext */
export async function openStore(
  key: VaultKey | undefined,
  definition: CollectionDefinition = SERVER,
): Promise<StoreFixture> {
  const redis = await RedisServer.start();
  const linked = await linkStore({ socketPath: redis.socketPath ?? '' }, key, definition);
  const stop = async (): Promise<void> => {
    await linked.stop();
    await redis.stop();
  };
  return { ...linked, redis, stop };
}
