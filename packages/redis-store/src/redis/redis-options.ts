/** Where Redis is, and how to speak to it. Exactly one of `url`, `socketPath`, `cluster` and `sentinels` is given. */
export interface RedisOptions {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. */
  readonly url?: string;
  /** Path of a Unix socket. */
  readonly socketPath?: string;
  /** `host:port` of some nodes of a Redis Cluster. */
  readonly cluster?: readonly string[];
  /** `host:port` of the sentinels; needs `sentinelName`. */
  readonly sentinels?: readonly string[];
  /** Name of the master that the sentinels watch. */
  readonly sentinelName?: string;
  /** ACL user; default user where absent. Overrides the URL's. */
  readonly username?: string;
  readonly password?: string;
  /** The sentinels' own password, where they have one. */
  readonly sentinelPassword?: string;
  /** Database number, 0 by default; not with `cluster`. */
  readonly db?: number;
  /** PEM texts; `ca` default: the system's. An empty object is TLS with the defaults. */
  readonly tls?: RedisTlsOptions;
  /** How often a command is tried over new connections before it fails: 0 to 100, default 5 (about 3 s). */
  readonly maxRetriesPerRequest?: number;
  /** Time for one connection to be made, in ms: default 5 000. */
  readonly connectTimeoutMs?: number;
  /** Time that one command may take before it counts as failed, in ms: default 30 000. */
  readonly commandTimeoutMs?: number;
}

export interface RedisTlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name to verify where it is not the host's. */
  readonly servername?: string;
}

/** A parsed `host:port`, with `[…]` around an IPv6 address. @throws RangeError */
export function parseHostPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new RangeError('a Redis node is written host:port, with a port from 1 to 65535');
  }
  return { host, port };
}

/** @throws RangeError unless exactly one way to reach Redis is given, whole */
export function checkRedisOptions(options: RedisOptions): void {
  const ways = [options.url, options.socketPath, options.cluster, options.sentinels];
  if (ways.filter((way) => way !== undefined).length !== 1) {
    throw new RangeError('give exactly one of url, socketPath, cluster and sentinels for Redis');
  }
  if (options.sentinels !== undefined && options.sentinelName === undefined) {
    throw new RangeError('sentinels need the name of the master that they watch');
  }
  if (options.cluster !== undefined && (options.db ?? 0) !== 0) {
    throw new RangeError('a Redis Cluster has only database 0');
  }
  for (const node of options.cluster ?? options.sentinels ?? []) parseHostPort(node);
  if (options.url !== undefined && !/^rediss?:\/\//.test(options.url)) {
    throw new RangeError('the URL of Redis begins with redis:// or rediss://');
  }
}
