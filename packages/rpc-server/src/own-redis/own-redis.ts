/**
 * The server's own Redis: a detached `redis-server` on a Unix socket in `<datadir>/redis`.
 *
 * It runs under `flock`, whose lock lives as long as the Redis process, whoever started it: two
 * servers that start together get one Redis, and one that a killed server left behind is adopted.
 * Every server keeps a connection named `vault-server` open; the last one to stop stops Redis.
 */
/* oxlint-disable no-await-in-loop -- each look at Redis waits for the answer to the one before */
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { replaceFile } from '@vault/crypto/files';
import { ControlConnection, RedisReplyError } from './control-connection.js';
import { OwnRedisError } from './errors.js';
import { redisConfiguration } from './redis-configuration.js';

export interface OwnRedisOptions {
  /** `<datadir>/redis`; made with mode 0700. */
  readonly folder: string;
  /** Program to run, `redis-server` by default: looked up in `searchPath`. */
  readonly program?: string;
  /** `PATH` for the child, which gets no other variable. */
  readonly searchPath: string;
  /** How long it may take to answer, loading its data included: default 600 000 ms. */
  readonly startTimeoutMs?: number;
  /** `server` keeps Redis running until it stops; a `tool` never stops one that a server uses. Default `server`. */
  readonly role?: 'server' | 'tool';
  /** Told once a second while Redis loads its data. */
  readonly onLoading?: () => void;
  /** Gives the start up, and stops a Redis that nobody else uses, even while it loads. */
  readonly signal?: AbortSignal;
}

const DEFAULT_START_TIMEOUT_MS = 600_000;
/** Between two looks whether Redis answers: short beside its start, which takes 20 to 50 ms. */
const POLL_MS = 10;
const LOADING_TOLD_EVERY_MS = 1000;
/** Redis flushes and ends in milliseconds; after this it is left alone and named. */
const STOP_TIMEOUT_MS = 30_000;
/** `sun_path` of Linux holds 108 bytes with the final zero. */
const SOCKET_PATH_BYTES_MAX = 107;
/** Exit status of flock when another process holds the lock: any that redis-server does not use. */
const LOCKED_STATUS = 200;
/** `temp-rewriteaof-<process id>.aof`, `temp-rewriteaof-bg-<process id>.aof`, `temp-<process id>.rdb` */
const TEMPORARY = /^temp-(?:rewriteaof-)?(?:bg-)?\d+\.(?:aof|rdb)$/;
const SERVER_NAME = 'vault-server';
const TOOL_NAME = 'vault-tool';

export class OwnRedis {
  /** What clients connect to: the socket's path, or a short one by a descriptor of its folder where that is too long. */
  readonly socketPath: string;
  /** Whether Redis was running already. */
  readonly isAdopted: boolean;
  readonly #control: ControlConnection;
  readonly #place: SocketPlace;
  readonly #role: 'server' | 'tool';
  #stopping: Promise<boolean> | undefined;

  private constructor(place: SocketPlace, control: ControlConnection, start: Started) {
    this.socketPath = place.socketPath;
    this.#place = place;
    this.#control = control;
    this.isAdopted = start.isAdopted;
    this.#role = start.role;
  }

  /**
   * Adopts the Redis that answers in the folder, or starts one, and waits until it has loaded its data.
   * @throws {OwnRedisError} saying what is missing or where the log is
   */
  static async start(options: OwnRedisOptions): Promise<OwnRedis> {
    const { folder, role = 'server', signal } = options;
    await prepareFolder(folder);
    const place = socketPlace(folder);
    try {
      const { control, isAdopted } = await openLoaded(options, place.socketPath);
      await control.command('CLIENT', 'SETNAME', role === 'server' ? SERVER_NAME : TOOL_NAME);
      const own = new OwnRedis(place, control, { isAdopted, role });
      if (signal?.aborted === true) {
        await own.stop();
        throw new OwnRedisError('OWN_REDIS_FAILED', 'the start of Redis was given up');
      }
      control.unref();
      return own;
    } catch (error) {
      place.close();
      throw error;
    }
  }

  /**
   * Stops Redis gracefully, unless a server still uses it (or, for a tool, unless it was there before).
   * @returns whether Redis was stopped; a second call gives the answer of the first
   * @throws {OwnRedisError} when it does not stop in time: it is left running
   */
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<boolean> {
    this.#control.ref();
    try {
      if (await this.#isNeeded()) return false;
      // The good answer is none: Redis ends, and the connection with it. An error reply means that it stays.
      const refused = this.#control.command('SHUTDOWN').catch((error: unknown) => {
        if (error instanceof RedisReplyError) throw error;
      });
      const ended = Promise.all([refused, this.#control.closed]);
      const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
      if ((await withDeadline(ended, deadlineMs)) !== undefined) return true;
      throw new OwnRedisError('OWN_REDIS_TIMEOUT', 'Redis does not stop: it is left running');
    } finally {
      this.#control.close();
      this.#place.close();
    }
  }

  async #isNeeded(): Promise<boolean> {
    if (this.#role === 'tool' && this.isAdopted) return true;
    try {
      // First not counting ourselves, then counting: of two servers that stop together, one or both see nobody.
      await this.#control.command('CLIENT', 'SETNAME', TOOL_NAME);
      const clients = await this.#control.command('CLIENT', 'LIST');
      return clients.split('\n').some((line) => line.includes(` name=${SERVER_NAME} `));
    } catch (error) {
      if (error instanceof RedisReplyError) throw error;
      // The connection is gone, and Redis with it.
      return true;
    }
  }
}

interface SocketPlace {
  readonly socketPath: string;
  /** To be called when no connection is made any more; a second call does nothing. */
  close(): void;
}
interface Started {
  readonly isAdopted: boolean;
  readonly role: 'server' | 'tool';
}

async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const status = await lstat(folder);
    if (!status.isDirectory()) throw new Error('it is not a folder');
    if (process.getuid !== undefined && status.uid !== process.getuid()) {
      throw new Error('it belongs to another user');
    }
    await chmod(folder, 0o700);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new OwnRedisError(
      'OWN_REDIS_FOLDER',
      `the folder ${folder} cannot be used for Redis: ${code ?? message}`,
    );
  }
}

/** A socket's path is short; where the folder's is too long, Linux reaches it through an open descriptor. */
function socketPlace(folder: string): SocketPlace {
  const path = join(folder, 'redis.sock');
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) {
    return { socketPath: path, close: () => undefined };
  }
  let descriptor: number | undefined = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    socketPath: `/proc/self/fd/${descriptor}/redis.sock`,
    close: () => {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}

async function tryOpen(socketPath: string): Promise<ControlConnection | undefined> {
  try {
    return await ControlConnection.open(socketPath);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    throw new OwnRedisError('OWN_REDIS_FOLDER', `the socket of Redis cannot be opened (${code})`);
  }
}

/** Opens a connection to a Redis that has loaded its data, starting one when none answers. */
async function openLoaded(
  options: OwnRedisOptions,
  socketPath: string,
): Promise<{ control: ControlConnection; isAdopted: boolean }> {
  const { folder, startTimeoutMs = DEFAULT_START_TIMEOUT_MS } = options;
  const deadlineMs = performance.now() + startTimeoutMs;
  let child: Child | undefined;
  let leftovers: readonly string[] = [];
  while (performance.now() < deadlineMs) {
    const control = await tryOpen(socketPath);
    if (control !== undefined) {
      if (await isLoaded(control, options, deadlineMs)) {
        // Only where it is ours that runs: then whoever wrote them, a rewrite that outlived its Redis too, is gone.
        if (child !== undefined && child.end() === undefined) await removeAll(leftovers);
        return { control, isAdopted: child === undefined };
      }
      control.close();
    } else if (child === undefined || child.end() === LOCKED_STATUS) {
      // Locked: another server starts it, or it is just stopping; then it is our turn again.
      if (child === undefined) await writeConfiguration(folder);
      leftovers = await temporaryFiles(folder);
      child = spawnRedis(options);
    } else if (child.end() !== undefined) {
      throw await startFailure(options, child.end());
    }
    await delay(POLL_MS);
  }
  const log = join(folder, 'redis.log');
  throw new OwnRedisError('OWN_REDIS_TIMEOUT', `Redis did not answer in time; look at ${log}`);
}

/**
 * What a Redis that was killed while it rewrote its file left: all of the database as it was then,
 * plaintext where it was plaintext. Redis never looks at these files again.
 */
async function temporaryFiles(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((name) => TEMPORARY.test(name));
  return names.map((name) => join(folder, name));
}

async function removeAll(paths: readonly string[]): Promise<void> {
  await Promise.all(paths.map(async (path) => rm(path, { force: true })));
}

/** Atomically: a Redis that starts meanwhile reads the old or the new one, which say the same. */
async function writeConfiguration(folder: string): Promise<void> {
  await replaceFile(join(folder, 'redis.conf'), redisConfiguration(folder), { mode: 0o600 });
}

/** Exit status, the name of a signal, or the error that kept it from running; `undefined` while it runs. */
type End = number | string | NodeJS.ErrnoException | undefined;

interface Child {
  readonly end: () => End;
}

function spawnRedis({ folder, program = 'redis-server', searchPath }: OwnRedisOptions): Child {
  const lock = ['--nonblock', '--no-fork', '--conflict-exit-code', String(LOCKED_STATUS)];
  const child = spawn('flock', [...lock, 'redis.lock', program, 'redis.conf'], {
    cwd: folder,
    // A session of its own: Ctrl-C in the server's terminal reaches the server alone, which then stops Redis.
    detached: true,
    stdio: 'ignore',
    env: { PATH: searchPath },
  });
  let end: End;
  child.once('error', (error) => {
    end = error;
  });
  child.once('exit', (status, signal) => {
    end = status ?? signal ?? 'unknown';
  });
  child.unref();
  return { end: () => end };
}

/** sysexits' EX_UNAVAILABLE, 127 of shells and 69 of flock: the program could not be run. */
const NOT_RUNNABLE: ReadonlySet<number> = new Set([69, 126, 127]);

async function startFailure({ folder, program = 'redis-server' }: OwnRedisOptions, end: End) {
  if (end instanceof Error) {
    return new OwnRedisError('OWN_REDIS_MISSING', 'flock (package util-linux) is not installed');
  }
  if (typeof end === 'number' && NOT_RUNNABLE.has(end)) {
    const advice = 'install Redis (Debian: apt-get install redis-server), or set redis.url';
    return new OwnRedisError('OWN_REDIS_MISSING', `${program} cannot be run: ${advice}`);
  }
  const log = join(folder, 'redis.log');
  const text = await readFile(log, 'utf8').catch(() => '');
  const last = text.trimEnd().split('\n').at(-1) ?? '';
  return new OwnRedisError(
    'OWN_REDIS_FAILED',
    `Redis ended at its start (${String(end)}); ${log} says: ${last}`,
  );
}

/**
 * Waits until Redis, which refuses commands with `LOADING` meanwhile, has loaded its data.
 * @returns `false` when the time is over, or when Redis ended: because it could not load, or was just stopping
 */
async function isLoaded(
  control: ControlConnection,
  { onLoading, signal }: OwnRedisOptions,
  deadlineMs: number,
): Promise<boolean> {
  let toldMs = performance.now();
  for (;;) {
    try {
      const reply = await withDeadline(control.command('PING'), deadlineMs);
      return reply !== undefined;
    } catch (error) {
      if (!(error instanceof RedisReplyError)) return false;
      if (error.word !== 'LOADING') throw error;
      // Given up: the caller stops it, loaded or not.
      if (signal?.aborted === true) return true;
    }
    const nowMs = performance.now();
    if (nowMs - toldMs > LOADING_TOLD_EVERY_MS) {
      toldMs = nowMs;
      onLoading?.();
    }
    await delay(POLL_MS);
  }
}

/** @returns `undefined` when the deadline passes first: a stopped process accepts connections and never answers */
async function withDeadline<Value>(
  work: Promise<Value>,
  deadlineMs: number,
): Promise<Value | undefined> {
  const ending = new AbortController();
  const remainingMs = Math.max(0, deadlineMs - performance.now());
  const timer = delay(remainingMs, undefined, { signal: ending.signal }).catch(() => undefined);
  try {
    return await Promise.race([work, timer]);
  } finally {
    ending.abort();
  }
}
