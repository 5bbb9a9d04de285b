/** Replicas of a master: those that follow it now, and those that a cluster or sentinels know of and that are away. */
import type { RedisLink, RedisNode, Reply } from './redis-link.js';

/** One that follows its master now, as the master sees it. */
export interface Replica {
  /** `host:port` */
  readonly address: string;
  /** It has the whole data set, and gets each write as it is made. */
  readonly isOnline: boolean;
  /** How far it confirmed that it has what the master wrote. */
  readonly offset: number;
}

/** What `INFO replication` says. */
export interface Replication {
  readonly isMaster: boolean;
  /** Another one after each failover, and after a restart. */
  readonly historyId: string;
  /** How far the master wrote. */
  readonly offset: number;
  readonly replicas: readonly Replica[];
}

export async function replicationOf(node: RedisNode): Promise<Replication> {
  const info = await node.info('replication');
  const replicas = [...info].filter(([name]) => /^slave\d+$/.test(name));
  return {
    isMaster: info.get('role') === 'master',
    historyId: info.get('master_replid') ?? '',
    offset: Number(info.get('master_repl_offset') ?? 0),
    replicas: replicas.map(([, text]) => {
      const fields = new Map(
        text.split(',').map((field) => field.split('=', 2) as [string, string]),
      );
      return {
        address: `${fields.get('ip') ?? '?'}:${fields.get('port') ?? '?'}`,
        isOnline: fields.get('state') === 'online',
        offset: Number(fields.get('offset') ?? 0),
      };
    }),
  };
}

/** A replica that a cluster or sentinels know of. */
export interface KnownReplica {
  /** `host:port` */
  readonly address: string;
  /** It runs, whether or not it follows its master: it may be made master at any time. */
  readonly isUp: boolean;
}

/** What a node of a cluster says of itself. */
export interface ClusterStanding {
  /** Ranges such as `0-5460`. */
  readonly slots: readonly string[];
  readonly replicas: readonly KnownReplica[];
}

/** `id host:port@bus,name flags master ping pong epoch state slot…`, a node a line. */
export async function clusterStandingOf(node: RedisNode): Promise<ClusterStanding> {
  const text = String(await node.command('CLUSTER', 'NODES'));
  const rows = text.split('\n').map((line) => line.trim().split(' '));
  const self = rows.find(([, , flags = '']) => flags.split(',').includes('myself'));
  const ofSelf = rows.filter(
    ([, , , masterId]) => masterId !== undefined && masterId === self?.[0],
  );
  return {
    // One that is moving stands there as `[slot->-id]` beside.
    slots: (self ?? []).slice(8).filter((range) => /^\d+(?:-\d+)?$/.test(range)),
    replicas: ofSelf.map(([, address = '', flags = '']) => ({
      address: address.replace(/@.*$/, ''),
      isUp: !flags.split(',').includes('fail'),
    })),
  };
}

/** How many slots ranges name. */
export function slotsIn(ranges: readonly string[]): number {
  return ranges.reduce((sum, range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return sum + last - first + 1;
  }, 0);
}

/** Every replica that the sentinels know; none where there are no sentinels. */
export async function replicasOfSentinels(link: RedisLink): Promise<readonly KnownReplica[]> {
  const reply = await link.askSentinel('REPLICAS');
  return (Array.isArray(reply) ? (reply as readonly Reply[]) : []).map((row) => {
    const words = (Array.isArray(row) ? row : []).map(String);
    const valueOf = (name: string): string => words[words.indexOf(name) + 1] ?? '?';
    const isUp = !valueOf('flags').split(',').includes('s_down');
    return { address: `${valueOf('ip')}:${valueOf('port')}`, isUp };
  });
}
