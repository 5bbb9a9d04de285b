/**
 * The one answer to "is what was written until now safe": on the disk of every master, and with every replica, so that
 * neither a power cut nor a failover brings back what was before.
 *
 * It holds for one run and one history of each server: one that was restarted or replaced meanwhile may have come back
 * as of an earlier time. So it is begun before something is written or looked at, and asked after.
 */
import { RedisRefusedError, RedisUnavailableError } from '../errors.js';
import {
  clusterStandingOf,
  replicasOfSentinels,
  replicationOf,
  slotsIn,
} from './known-replicas.js';
import type { Replication } from './known-replicas.js';
import { persistenceOf, rewrite, waitUntilIdle } from './redis-files.js';
import type { Persistence } from './redis-files.js';
import type { RedisLink, RedisNode } from './redis-link.js';

/** Why it is not proven. */
export interface DurabilityGap {
  /**
   * `changed`: a server was restarted or replaced meanwhile: do it again. `pending`: not now, perhaps later. `never`: not
   * as this Redis is set up.
   */
  readonly kind: 'changed' | 'pending' | 'never';
  /** Which server, what it lacks, and what to do: one sentence without a full stop. */
  readonly why: string;
}

/**
 * How much is proven. `floor`: enough for what a power cut or a failover would merely undo; no file is written anew for
 * it. `change`: each master has it on disk, each replica that is up has it. `final`, before something is destroyed that
 * could not be had back: replicas have it on disk too, as far as Redis can tell, and none that is known is away.
 */
export type DurabilityNeed = 'floor' | 'change' | 'final';

/** A replica that does not confirm within this lags. Nothing is lost where a floor stays lower for that. */
const WAIT_MS = { floor: 2000, change: 10_000, final: 10_000 } as const satisfies Record<
  DurabilityNeed,
  number
>;
/** Longer than any wait. */
const MARKER_MS = 30_000;
/** With `everysec` Redis syncs each second, and waits with new writes where that takes longer than two. */
const EVERYSEC_MS = 2000;
const SLOTS = 16_384;
/** Names tried for a key on a master of a cluster that has none of ours. */
const MARKERS_TRIED = 1024;
/** Refusals that end by themselves. */
const PASSING: ReadonlySet<string> = new Set([
  'BUSY',
  'LOADING',
  'MISCONF',
  'READONLY',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'TRYAGAIN',
  'NOREPLICAS',
]);

export class Durability {
  readonly #link: RedisLink;
  /** Which run and history of which servers it is about; why they may not be asked. */
  readonly #began: string | RedisRefusedError;

  private constructor(link: RedisLink, began: string | RedisRefusedError) {
    this.#link = link;
    this.#began = began;
  }

  /**
   * Before what is to be proven is written, or looked at.
   * @throws {RedisUnavailableError | RedisRefusedError} while Redis is away, or a cluster is not whole
   */
  static async begin(link: RedisLink): Promise<Durability> {
    try {
      return new Durability(link, await standingOf(link));
    } catch (error) {
      const isForbidden = error instanceof RedisRefusedError && !PASSING.has(error.reply);
      if (isForbidden) return new Durability(link, error);
      throw error;
    }
  }

  /**
   * Whether a server was restarted or replaced since it began.
   * @throws {RedisUnavailableError | RedisRefusedError} while that cannot be told
   */
  async hasChanged(): Promise<boolean> {
    if (typeof this.#began !== 'string') return false;
    return (await standingOf(this.#link)) !== this.#began;
  }

  /** @returns `undefined` when all that was written until this call is safe; a `pending` one may be a change that is not over */
  async gap(need: DurabilityNeed): Promise<DurabilityGap | undefined> {
    if (typeof this.#began !== 'string') return refused('Redis', this.#began);
    const gaps: (DurabilityGap | undefined)[] = [];
    try {
      for (const master of await this.#link.mastersOfAllSlots()) {
        // oxlint-disable-next-line no-await-in-loop -- one server after the other writes its files
        gaps.push(await gapOf(this.#link, master, need));
      }
      if (await this.hasChanged()) return CHANGED;
    } catch (error) {
      if (error instanceof RedisRefusedError) return refused('Redis', error);
      if (error instanceof RedisUnavailableError) return { kind: 'pending', why: error.message };
      throw error;
    }
    const all = gaps.filter((gap) => gap !== undefined);
    return all.find(({ kind }) => kind === 'pending') ?? all[0];
  }
}

const CHANGED: DurabilityGap = {
  kind: 'changed',
  why: 'Redis was restarted, replaced or resharded meanwhile',
};

function refused(where: string, error: RedisRefusedError): DurabilityGap {
  const kind = PASSING.has(error.reply) ? 'pending' : 'never';
  return { kind, why: `${where} does not answer what it is asked: ${error.message}` };
}

/** Which run and history of which server each master is, and which slots it has. */
async function standingOf(link: RedisLink): Promise<string> {
  const masters = await link.masters();
  const standings = await Promise.all(
    masters.map(async (node) => {
      const [server, replication, cluster] = await Promise.all([
        node.info('server'),
        replicationOf(node),
        link.isCluster ? clusterStandingOf(node) : undefined,
      ]);
      const { isMaster, historyId } = replication;
      const slots = isMaster ? (cluster?.slots ?? []) : [];
      return { slots, text: [server.get('run_id'), isMaster, historyId, ...slots].join(' ') };
    }),
  );
  const covered = slotsIn(standings.flatMap(({ slots }) => slots));
  if (link.isCluster && covered !== SLOTS) {
    throw new RedisRefusedError('CLUSTERDOWN', 'its masters do not agree on who has which slots');
  }
  return standings
    .map(({ text }) => text)
    .toSorted()
    .join();
}

async function gapOf(
  link: RedisLink,
  master: RedisNode,
  need: DurabilityNeed,
): Promise<DurabilityGap | undefined> {
  const where = `Redis ${master.address}`;
  try {
    return await master.onOwnConnection(async (node) => nodeGap(link, node, need));
  } catch (error) {
    if (error instanceof RedisRefusedError) return refused(where, error);
    // The caller looks whether it is another run by now.
    if (error instanceof RedisUnavailableError) {
      return { kind: 'pending', why: `the connection to ${where} broke` };
    }
    throw error;
  }
}

async function nodeGap(
  link: RedisLink,
  node: RedisNode,
  need: DurabilityNeed,
): Promise<DurabilityGap | undefined> {
  const persistence = await persistenceOf(node);
  const replication = await replicationOf(node);
  if (!replication.isMaster) return CHANGED;
  const away = await awayOf(link, node, need, replication);
  if (away.length > 0) {
    return {
      kind: 'pending',
      why: `replicas of Redis ${node.address} do not follow it (${away.join(', ')}): bring them back, or have the cluster or the sentinels forget them`,
    };
  }
  // A file that is being begun holds nothing yet.
  if (need !== 'floor') await waitUntilIdle(node);
  // With `always`, Redis answers a write only after it is synced; what it leaves to the operating system it cannot wait for.
  const isWaiting = persistence.isAppending && persistence.appendfsync === 'everysec';
  const isAsked = isWaiting || replication.replicas.length > 0;
  if (isAsked && !(await writeMarker(link, node))) {
    return { kind: 'pending', why: `no key of ours could be written to Redis ${node.address}` };
  }
  const confirmed = await waitForFiles(node, persistence, need, replication.replicas.length);
  return (
    (await diskGap(node, persistence, need, confirmed.isOnDisk)) ??
    (confirmed.areReplicasSafe ? undefined : await replicaGap(node, replication, confirmed))
  );
}

interface Confirmed {
  readonly isOnDisk: boolean;
  readonly areReplicasSafe: boolean;
  /** How many replicas say that they have it on disk. */
  readonly onReplicaDisks: number;
  readonly inReplicas: number;
}

/** After a write on this connection where one is asked for, which the answers are about. */
async function waitForFiles(
  node: RedisNode,
  { isAppending, appendfsync, version }: Persistence,
  need: DurabilityNeed,
  replicas: number,
): Promise<Confirmed> {
  const limitMs = Math.min(WAIT_MS[need], Math.floor(node.commandTimeoutMs / 2));
  const disksOfReplicas = need === 'final' ? replicas : 0;
  const syncs = isAppending && (appendfsync === 'always' || appendfsync === 'everysec');
  const isSynced = isAppending && appendfsync === 'always';
  let onDisk: readonly number[] | undefined;
  if (disksOfReplicas > 0 || (syncs && !isSynced)) {
    try {
      const reply = await node.command('WAITAOF', syncs ? 1 : 0, disksOfReplicas, limitMs);
      onDisk = Array.isArray(reply) ? reply.map(Number) : undefined;
    } catch (error) {
      // Before 7.2 there is no such command, and an ACL may lack it.
      if (!(error instanceof RedisRefusedError) || PASSING.has(error.reply)) throw error;
      if (disksOfReplicas > 0 && error.reply === 'NOPERM' && knowsWaitAof(version)) throw error;
    }
  }
  const [local = 0, remote = 0] = onDisk ?? [];
  const isOnDisk = isSynced || local >= 1;
  const lacksDisks = onDisk !== undefined && remote < disksOfReplicas;
  const inReplicas = replicas === 0 ? 0 : Number(await node.command('WAIT', replicas, limitMs));
  const areReplicasSafe = !lacksDisks && inReplicas >= replicas;
  return { isOnDisk, areReplicasSafe, onReplicaDisks: remote, inReplicas };
}

/** Valkey says 7.2 there for ever. */
function knowsWaitAof(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 7 || (major === 7 && minor >= 2);
}

async function diskGap(
  node: RedisNode,
  { isAppending, isSnapshotting, appendfsync }: Persistence,
  need: DurabilityNeed,
  isOnDisk: boolean,
): Promise<DurabilityGap | undefined> {
  const where = `Redis ${node.address}`;
  if (isOnDisk) return undefined;
  if (!isAppending && isSnapshotting !== true) {
    const why =
      isSnapshotting === undefined
        ? `${where} does not say whether it keeps anything on disk: allow CONFIG GET, or set appendonly yes`
        : `${where} keeps nothing on disk: set appendonly yes`;
    return { kind: 'never', why };
  }
  if (need !== 'floor') {
    await rewrite(node, isAppending ? 'BGREWRITEAOF' : 'BGSAVE');
    return undefined;
  }
  if (!isAppending || appendfsync !== 'everysec') {
    return { kind: 'never', why: `${where} does not sync each write: set appendfsync everysec` };
  }
  await new Promise((resolve) => {
    setTimeout(resolve, EVERYSEC_MS);
  });
  // This connection lives: it is the same run.
  await node.command('PING');
  return undefined;
}

async function replicaGap(
  node: RedisNode,
  { replicas }: Replication,
  { onReplicaDisks, inReplicas }: Confirmed,
): Promise<DurabilityGap> {
  const where = `Redis ${node.address}`;
  const names = replicas.map(({ address }) => address).join(', ');
  if (inReplicas >= replicas.length) {
    return {
      kind: 'pending',
      why: `${replicas.length - onReplicaDisks} of the replicas of ${where} (${names}) do not confirm that they have it on their disk: set appendonly yes on them`,
    };
  }
  const now = await replicationOf(node);
  const late = now.replicas.filter(({ isOnline, offset }) => !isOnline || offset < now.offset);
  const lateNames = late.map(({ address }) => address).join(', ') || names;
  return {
    kind: 'pending',
    why: `replicas of ${where} lag behind (${lateNames}): look at their logs and their connection`,
  };
}

/**
 * Replicas that a cluster or sentinels know of, and that do not follow now. One that is down cannot be made master; once
 * it is up it takes all over again first, unless the master goes at the same time.
 */
async function awayOf(
  link: RedisLink,
  node: RedisNode,
  need: DurabilityNeed,
  { replicas }: Replication,
): Promise<readonly string[]> {
  const all = link.isCluster
    ? (await clusterStandingOf(node)).replicas
    : await replicasOfSentinels(link);
  const known = all.filter(({ isUp }) => isUp || need === 'final').map(({ address }) => address);
  // By number: a replica may have another address for the cluster than for its master.
  if (known.length <= replicas.length) return [];
  const following = new Set(replicas.map(({ address }) => address));
  return known.filter((address) => !following.has(address));
}

/** `WAIT` and `WAITAOF` speak of the writes of their own connection, so one is made on it. @returns whether one was */
async function writeMarker(link: RedisLink, node: RedisNode): Promise<boolean> {
  for await (const key of markerKeys(link, node)) {
    try {
      await node.command('SET', key, 1, 'PX', MARKER_MS);
      return true;
    } catch (error) {
      const isElsewhere =
        error instanceof RedisRefusedError && (error.reply === 'MOVED' || error.reply === 'ASK');
      if (!isElsewhere) throw error;
    }
  }
  return false;
}

/** Names of ours of which one lives on this server. */
async function* markerKeys(link: RedisLink, node: RedisNode): AsyncGenerator<string> {
  const { head, pattern } = link.names;
  yield `${head}meta}:durable`;
  if (!link.isCluster) return;
  for (let number = 0; number < MARKERS_TRIED; number++) yield `${head}durable.${number}}:durable`;
  for await (const keys of node.scan(pattern)) {
    for (const key of keys) yield `${key.slice(0, key.indexOf('}'))}}:durable`;
  }
}
