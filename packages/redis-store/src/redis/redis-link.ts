/**
 * The one connection of a process to its Redis (single, Sentinel or Cluster), with our scripts
 * defined and every failure translated. A reply error of the client library carries the arguments
 * of its command, that is, stored values: it never becomes a cause.
 */
import type { Socket } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import { RedisRefusedError, RedisUnavailableError, StoreError } from '../errors.js';
import type { KeyNames } from './key-names.js';
import { namingState } from './other-type.js';
import { checkRedisOptions, parseHostPort } from './redis-options.js';
import type { RedisOptions } from './redis-options.js';
import { loadScript, SCRIPT_FILES } from './scripts.js';
import { keepSentMarks, noteRefusal } from './sent-mark.js';
import type { ScriptName } from './scripts.js';

/** Reply of Redis, with binary strings as buffers. */
export type Reply = Buffer | string | number | null | undefined | boolean | readonly Reply[];
export type Argument = string | Buffer | number;

/** Waiting between connection attempts grows from 50 ms to 1 s: a restart of Redis is bridged, a client is not kept for long. */
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1000;
const DEFAULT_RETRIES = 5;
const DEFAULT_CONNECT_TIMEOUT_MS = 5000;
/** A Redis that hangs is told apart from a slow one: no command of ours takes a second. */
const DEFAULT_COMMAND_TIMEOUT_MS = 30_000;

/** Error replies that an operator can act on: first word → what to do. */
const REPLY_ADVICE: Readonly<Record<string, string>> = {
  OOM: 'it is out of memory; raise maxmemory, and keep maxmemory-policy noeviction',
  READONLY:
    'it is a replica; point the configuration at the master, or wait for the failover to end',
  MISCONF: 'it cannot write its own files; look at its log and its disk',
  NOAUTH: 'it wants a password; set one in the configuration',
  WRONGPASS: 'user or password are wrong; correct them in the configuration',
  NOPERM: 'the user may not do this; see the ACL line in docs/redis.md',
  LOADING: 'it is still loading its data; try again',
  BUSY: 'a script keeps it busy; try again',
  CLUSTERDOWN: 'the cluster does not cover all slots; look at its nodes',
  MASTERDOWN: 'the master is down; wait for the failover',
  TRYAGAIN: 'slots are moving; try again',
  NOREPLICAS: 'too few replicas are connected',
  WRONGTYPE: 'a key of ours holds another type; run vault-server verify',
  NOSCRIPT: 'it forgot a script; try again',
};

/** Options of a connection that is made once, and of commands that are sent once. */
const ONCE = {
  lazyConnect: true,
  disconnectTimeout: 100,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  reconnectOnError: () => false,
} as const;

type Client = Redis | Cluster;
type ScriptCall = (numberOfKeys: number, ...args: Argument[]) => Promise<Reply>;

export class RedisLink {
  readonly names: KeyNames;
  readonly isCluster: boolean;
  readonly #client: Client;
  readonly #options: RedisOptions;
  /** Why the last connection failed; the command that waited for it is only told that it is closed. */
  #lastFailure: unknown;

  private constructor(options: RedisOptions, names: KeyNames) {
    const client = makeClient(options);
    this.#client = client;
    this.#options = options;
    this.names = names;
    this.isCluster = client instanceof Cluster;
    defineScripts(client);
    keepSentMarks(client);
    // Without a listener the client prints lost connections itself; each command reports its own failure.
    client.on('error', (error: unknown) => (this.#lastFailure = error));
  }

  /**
   * Connects and waits until Redis answers.
   * @throws RangeError for options that contradict each other
   * @throws {RedisUnavailableError} when no connection can be made
   * @throws {RedisRefusedError} when Redis refuses us
   */
  static async connect(options: RedisOptions, names: KeyNames): Promise<RedisLink> {
    checkRedisOptions(options);
    const link = new RedisLink(options, names);
    try {
      await link.#client.connect();
      await link.#client.ping();
      return link;
    } catch (error) {
      link.#client.disconnect();
      throw translateError(link.#lastFailure ?? error);
    }
  }

  /** One command; binary replies. In a cluster it goes where its first key lives. */
  command(name: string, ...args: readonly Argument[]): Promise<Reply> {
    const reply = this.#client.callBuffer(name, ...args) as Promise<Reply>;
    return namingState(this.names, String(args[0]), translated(reply));
  }

  /** Runs a script by its digest (sent whole once, and again after Redis forgot it). */
  script(name: ScriptName, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    return callScript(this.#client, name, keys, args);
  }

  /** `GET`. @returns the bytes, or `undefined` */
  async get(key: string): Promise<Buffer | undefined> {
    return (
      (await namingState(this.names, key, translated(this.#client.getBuffer(key)))) ?? undefined
    );
  }

  /** `MGET` of keys of one slot. */
  async getMany(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    const values = await translated(this.#client.mgetBuffer([...keys]));
    return values.map((value) => value ?? undefined);
  }

  /** `ZRANGEBYLEX key (after + LIMIT 0 limit`: members in the order of their bytes. */
  pageMembers(key: string, after: string, limit: number): Promise<string[]> {
    const min = after === '' ? '-' : `(${after}`;
    return translated(this.#client.zrangebylex(key, min, '+', 'LIMIT', 0, limit));
  }

  /** Each master, to ask the whole database of it (`SCAN`, `INFO`, `WAITAOF`); one where there is no cluster. */
  async masters(): Promise<readonly RedisNode[]> {
    if (!(this.#client instanceof Cluster)) return [new RedisNode(this.#client)];
    await this.#refreshSlots(this.#client);
    return this.#client.nodes('master').map((node) => new RedisNode(node));
  }

  /** The client looks anew only when it is sent elsewhere: a master that is gone would be left out for ever. */
  async #refreshSlots(client: Cluster): Promise<void> {
    await translated(
      new Promise<void>((resolve, reject) => {
        client.refreshSlotsCache((error) => (error ? reject(error) : resolve()));
      }),
    );
  }

  /**
   * As {@link masters}, for a proof that something is nowhere.
   * @throws {RedisRefusedError} when a cluster does not cover all slots: part of the data is out of sight
   */
  async mastersOfAllSlots(): Promise<readonly RedisNode[]> {
    const masters = await this.masters();
    if (!this.isCluster) return masters;
    const info = String(await masters[0]?.command('CLUSTER', 'INFO'));
    if (!/cluster_slots_ok:16384\b/.test(info)) {
      throw new RedisRefusedError('CLUSTERDOWN', 'the cluster does not cover all slots');
    }
    return masters;
  }

  /**
   * Asks the first sentinel that answers something of the master that it watches (`SENTINEL <question> <name>`).
   * @returns `undefined` where there are no sentinels
   * @throws {RedisUnavailableError} when none of them answers
   */
  async askSentinel(question: string): Promise<Reply> {
    const { sentinels, sentinelName = '', sentinelPassword: password, tls } = this.#options;
    if (sentinels === undefined) return undefined;
    let failure: unknown;
    for (const sentinel of sentinels) {
      const client = new Redis({
        ...parseHostPort(sentinel),
        ...ONCE,
        connectTimeout: this.#options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
        commandTimeout: this.#options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS,
        ...(password === undefined ? {} : { password }),
        ...(tls === undefined ? {} : { tls: { ...tls } }),
      });
      client.on('error', () => undefined);
      try {
        // oxlint-disable no-await-in-loop -- the next one only where this one is away
        await client.connect();
        return (await client.callBuffer('SENTINEL', question, sentinelName)) as Reply;
        // oxlint-enable no-await-in-loop
      } catch (error) {
        failure = error;
      } finally {
        client.disconnect();
      }
    }
    throw translateError(failure);
  }

  /** Lets commands in flight end, then closes. */
  async close(): Promise<void> {
    try {
      await this.#client.quit();
    } catch {
      this.#client.disconnect();
    }
  }
}

/** One Redis server of the database. */
export class RedisNode {
  readonly #client: Redis;

  constructor(client: Redis) {
    this.#client = client;
  }

  /** `host:port` or socket path, for messages. */
  get address(): string {
    const { path, host, port, sentinels } = this.#client.options;
    // Which server it is, the sentinels say.
    const { remoteAddress, remotePort } = (this.#client.stream ?? {}) as Partial<Socket>;
    if (sentinels != null && remoteAddress !== undefined) return `${remoteAddress}:${remotePort}`;
    return path ?? `${host ?? 'localhost'}:${port ?? 6379}`;
  }

  /** How long an answer is waited for, in ms. */
  get commandTimeoutMs(): number {
    return this.#client.options.commandTimeout ?? DEFAULT_COMMAND_TIMEOUT_MS;
  }

  /**
   * Uses a connection of its own to this server, which ends with its first failure: `WAIT` speaks of the writes of
   * its connection, so one that the client sent again over a new one would be answered as if nothing were to wait for.
   * @throws {RedisUnavailableError} when it breaks, or cannot be made
   */
  async onOwnConnection<T>(use: (node: RedisNode) => Promise<T>): Promise<T> {
    const client = this.#client.duplicate(ONCE);
    // Each command reports its own failure.
    client.on('error', () => undefined);
    try {
      await translated(client.connect());
      return await use(new RedisNode(client));
    } finally {
      client.disconnect();
    }
  }

  command(name: string, ...args: readonly Argument[]): Promise<Reply> {
    return translated(this.#client.callBuffer(name, ...args) as Promise<Reply>);
  }

  /** Runs a script on this server. */
  script(name: ScriptName, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    defineScripts(this.#client);
    return callScript(this.#client, name, keys, args);
  }

  /** Key names in pages of about `count`; a name may come twice, one that is there all the time is not missed. */
  async *scan(pattern: string, count = 1000): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      // oxlint-disable-next-line no-await-in-loop -- a cursor is followed step by step
      const [next, keys] = await translated(
        this.#client.scan(cursor, 'MATCH', pattern, 'COUNT', count),
      );
      cursor = next;
      yield keys;
    } while (cursor !== '0');
  }

  /** A section of `INFO` as name → value. */
  async info(section: string): Promise<Map<string, string>> {
    const text = await translated(this.#client.info(section));
    const lines = text.split('\r\n').filter((line) => line.includes(':'));
    return new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
    );
  }
}

/** Defines our scripts on a client, once. */
function defineScripts(client: Client): void {
  if ('vaultWriteBuffer' in client) return;
  for (const name of Object.keys(SCRIPT_FILES) as ScriptName[]) {
    client.defineCommand(name, { lua: loadScript(name) });
  }
}

function callScript(
  client: Client,
  name: ScriptName,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<Reply> {
  const call = (client as unknown as Record<string, ScriptCall>)[`${name}Buffer`];
  if (call === undefined) throw new TypeError(`no script ${name}`);
  return translated(call.call(client, keys.length, ...keys, ...args));
}

/** An error reply, as the client library hands it over. */
interface RefusedCommand extends Error {
  readonly command?: { readonly args: readonly unknown[] };
}

function retryDelay(attempt: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** (attempt - 1), RETRY_MAX_MS);
}

function makeClient(options: RedisOptions): Client {
  const maxRetriesPerRequest = options.maxRetriesPerRequest ?? DEFAULT_RETRIES;
  const common = {
    lazyConnect: true,
    // A timer that outlives a closed connection by this much; the default of 2 s keeps a finished process waiting.
    disconnectTimeout: 100,
    maxRetriesPerRequest,
    connectTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    commandTimeout: options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS,
    // The first connection fails as a whole when its attempts are used up; later ones go on for ever.
    retryStrategy: retryDelay,
    // A failover leaves us on a demoted master: connect anew, and send the command again.
    reconnectOnError: (error: RefusedCommand) => {
      if (replyWord(error.message) !== 'READONLY') return false;
      noteRefusal(error.command?.args ?? []);
      return 2 as const;
    },
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.db === undefined ? {} : { db: options.db }),
    ...(options.tls === undefined ? {} : { tls: { ...options.tls } }),
  };
  if (options.cluster !== undefined) {
    return new Cluster(options.cluster.map(parseHostPort), {
      lazyConnect: true,
      redisOptions: common,
      slotsRefreshTimeout: common.connectTimeout,
      clusterRetryStrategy: (attempt) =>
        attempt > maxRetriesPerRequest ? null : retryDelay(attempt),
    });
  }
  if (options.sentinels !== undefined) {
    return new Redis({
      ...common,
      sentinels: options.sentinels.map(parseHostPort),
      name: options.sentinelName ?? '',
      ...(options.sentinelPassword === undefined
        ? {}
        : { sentinelPassword: options.sentinelPassword }),
      ...(options.tls === undefined ? {} : { enableTLSForSentinelMode: true }),
    });
  }
  if (options.socketPath !== undefined) return new Redis({ ...common, path: options.socketPath });
  return new Redis(options.url ?? '', common);
}

/** Waits for a reply of the client; its failure becomes one of ours. */
async function translated<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw translateError(error);
  }
}

/**
 * The word that an error reply begins with. Until Redis 6.2 one that was met inside a script stands
 * behind a place in it: `ERR Error running script (…): @user_script:102: … -READONLY You can't …`.
 */
export function replyWord(message: string): string | undefined {
  const inScript = /^(?:ERR )?Error running script\b.* -([A-Z]+) /.exec(message);
  return (inScript ?? /^(?:ERR )?([A-Z]+)\b/.exec(message))?.[1];
}

/** @returns the error of ours for a failure of the client; its message holds no argument of the command */
export function translateError(error: unknown): Error {
  if (error instanceof StoreError) return error;
  // Not `instanceof`: the client's errors may come from another realm (a worker, a test's own context).
  const { name, message, code } = errorFacts(error);
  const word = replyWord(message);
  if (word !== undefined && Object.hasOwn(REPLY_ADVICE, word)) {
    return new RedisRefusedError(word, REPLY_ADVICE[word] ?? '');
  }
  if (name === 'ReplyError') return new RedisRefusedError(word ?? 'ERR', 'see its log');
  const why = code === undefined ? '' : ` (${code})`;
  return new RedisUnavailableError(
    `Redis cannot be reached${why}: check that it runs and the [redis] section of the configuration`,
  );
}

interface ErrorFacts {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
}

function errorFacts(error: unknown): ErrorFacts {
  if (typeof error !== 'object' || error === null || !('message' in error)) {
    return { name: '', message: '', code: undefined };
  }
  const name = 'name' in error ? String(error.name) : '';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { name, message: String(error.message), code };
}
