/**
 * Heartbeats: which processes use the database now, with which setting, and which keys they have.
 *
 * ```
 * JSON text ‖ "\n" ‖ key id ":" base64url(HMAC-SHA256(process key, prefix, JSON text)) ‖ "," ‖ …     one for each key in the ring
 * ```
 *
 * A process beats before it reads the seal, and again at once when its keys change, so that whoever
 * writes a pending key and then lists the processes misses none, and sees who can open what.
 */
import { isKeyId } from '@vault/crypto';
import type { KeyId, KeyRing } from '@vault/crypto';
import { messageOf } from '../error-message.js';
import { isProvablyDead, parseIdentity } from './process-identity.js';
import type { ProcessIdentity } from './process-identity.js';
import type { RedisLink, Reply } from '../redis/redis-link.js';
import type { StoreLogger } from '../store-logger.js';

/** A process that has not beaten for so long is gone. */
export const HEARTBEAT_MS = 15_000;
/** Three beats may fail. */
export const BEAT_EVERY_MS = HEARTBEAT_MS / 4;
/** Ids of processes that ended stay listed so long, against clocks that differ. */
const FORGET_AFTER_MS = 3_600_000;
/** A heartbeat from an earlier time, put back by somebody, is not believed; clocks may differ by less. */
const REPLAY_AFTER_MS = 300_000;
const NAMES_MAX = 10;

/** What a process says of itself. */
export interface ProcessSetting {
  readonly role: 'server' | 'tool';
  /** Whether it keeps the database encrypted; `null` until it has decided. */
  readonly isEncrypting: boolean | null;
}

/** A process that has beaten lately. */
export interface LiveProcess extends ProcessSetting {
  readonly identity: ProcessIdentity;
  /** Counts up with each beat. */
  readonly beat: number;
  /** Keys of our ring that it proved to have. */
  readonly provenKeyIds: readonly KeyId[];
}

export class Heartbeat {
  readonly #link: RedisLink;
  readonly #identity: ProcessIdentity;
  #setting: ProcessSetting;
  #ring: KeyRing;
  readonly #logger: StoreLogger;
  #beat = 0;
  #timer: NodeJS.Timeout | undefined;
  #isRedisAway = false;

  constructor(
    link: RedisLink,
    identity: ProcessIdentity,
    setting: ProcessSetting,
    ring: KeyRing,
    logger: StoreLogger,
  ) {
    this.#link = link;
    this.#identity = identity;
    this.#setting = setting;
    this.#ring = ring;
    this.#logger = logger;
  }

  /** Beats now, then regularly. A beat that fails is made up for by the next. */
  async start(): Promise<void> {
    await this.#beatOnce();
    this.#timer = setInterval(() => {
      this.#beatOnce().then(
        () => this.#noteRedis(undefined),
        (error: unknown) => this.#noteRedis(messageOf(error)),
      );
    }, BEAT_EVERY_MS).unref();
  }

  /** The log of a process that nobody calls says, too, when Redis went and when it came back: once each. */
  #noteRedis(cause: string | undefined): void {
    const isAway = cause !== undefined;
    // What fails because this process ends is no news.
    if (isAway === this.#isRedisAway || this.#timer === undefined) return;
    this.#isRedisAway = isAway;
    if (!isAway) this.#logger.info('Redis can be used again');
    else {
      this.#logger.error('Redis cannot be used: calls fail until it can', {
        cause,
        advice: 'mend Redis: this process goes on by itself, without a restart',
      });
    }
  }

  /** Beats at once with other keys. */
  async useRing(ring: KeyRing): Promise<void> {
    this.#ring = ring;
    await this.#beatOnce();
  }

  /** Beats at once with what it decided, where that is news. */
  async useDecision(isEncrypting: boolean): Promise<void> {
    if (this.#setting.isEncrypting === isEncrypting) return;
    this.#setting = { ...this.#setting, isEncrypting };
    await this.#beatOnce();
  }

  /** Stops, and says so. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const { names } = this.#link;
    try {
      await this.#link.command('DEL', names.process(this.#identity.id));
      await this.#link.command('ZREM', names.processes, this.#identity.id);
    } catch {
      // The heartbeat ends by itself after HEARTBEAT_MS.
    }
  }

  async #beatOnce(): Promise<void> {
    const { names } = this.#link;
    const nowMs = Date.now();
    const json = JSON.stringify({
      v: 1,
      identity: this.#identity,
      role: this.#setting.role,
      isEncrypting: this.#setting.isEncrypting,
      beat: this.#beat++,
      beatAtMs: nowMs,
    });
    const { id } = this.#identity;
    const value = `${json}\n${macs(this.#ring, names.prefix, json)}`;
    const args = [value, HEARTBEAT_MS, id, nowMs + HEARTBEAT_MS, nowMs - FORGET_AFTER_MS];
    await this.#link.script('vaultBeat', [names.process(id), names.processes], args);
  }
}

function macs(ring: KeyRing, prefix: string, json: string): string {
  return ring.ids
    .map((id) => `${id}:${ring.byId(id)?.mac('process', prefix, json).toString('base64url') ?? ''}`)
    .join(',');
}

/** Ids of processes that have beaten and not said goodbye, whether they beat still or not. */
export async function listedProcessIds(link: RedisLink): Promise<string[]> {
  const ids = await link.command('ZRANGE', link.names.processes, 0, -1);
  return (Array.isArray(ids) ? (ids as Reply[]) : []).map(String);
}

/**
 * The processes that beat, but those that provably ended.
 * @param ring proves which keys they have; a heartbeat that proves none of ours has no `provenKeyIds`
 */
export async function listProcesses(link: RedisLink, ring: KeyRing): Promise<LiveProcess[]> {
  const { names } = link;
  const ids = await listedProcessIds(link);
  const keys = ids.map((id) => names.process(id));
  const values = await link.getMany(keys);
  return values.flatMap((value) => {
    const live = value === undefined ? undefined : parseBeat(value.toString(), names.prefix, ring);
    return live === undefined || isProvablyDead(live.identity) ? [] : [live];
  });
}

/** For a message; of many the first few, since anybody can list more. */
export function processNames(processes: readonly LiveProcess[]): readonly string[] {
  const names = processes.map(({ identity: { pid, host } }) => `process ${pid} on ${host}`);
  const more = names.length - NAMES_MAX;
  return more <= 0 ? names : [...names.slice(0, NAMES_MAX), `${more} more`];
}

function parseBeat(value: string, prefix: string, ring: KeyRing): LiveProcess | undefined {
  const at = value.indexOf('\n');
  const json = value.slice(0, Math.max(at, 0));
  let content: Record<string, unknown>;
  try {
    content = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const identity = parseIdentity(content['identity']);
  const { role, isEncrypting, beat, beatAtMs } = content;
  if (identity === undefined) return undefined;
  if (isEncrypting !== null && typeof isEncrypting !== 'boolean') return undefined;
  if (typeof beat !== 'number' || typeof beatAtMs !== 'number') return undefined;
  if (Math.abs(Date.now() - beatAtMs) > REPLAY_AFTER_MS) return undefined;
  const provenKeyIds = value
    .slice(at + 1)
    .split(',')
    .flatMap((part) => {
      const [id = '', mac = ''] = part.split(':');
      const isProven =
        isKeyId(id) &&
        (ring.byId(id)?.isMac('process', Buffer.from(mac, 'base64url'), prefix, json) ?? false);
      return isProven ? [id] : [];
    });
  return { identity, role: role === 'tool' ? 'tool' : 'server', isEncrypting, beat, provenKeyIds };
}
