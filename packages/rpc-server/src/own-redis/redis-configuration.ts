/** The configuration file of the server's own Redis. */

/** Directive, value, and why. Every one is known to Redis 6.2 and later. */
const DIRECTIVES: readonly (readonly [string, string, string])[] = [
  ['port', '0', 'no network: only the Unix socket'],
  ['unixsocket', 'redis.sock', 'relative to dir, so that its path has no length limit here'],
  ['unixsocketperm', '700', 'the folder is 0700 too'],
  ['daemonize', 'no', 'flock holds the lock for the life of this process'],
  ['databases', '1', 'one is used'],
  ['appendonly', 'yes', 'every write is kept'],
  ['appendfsync', 'always', 'a write that was answered is on disk'],
  ['save', '""', 'no snapshots beside the append-only file'],
  ['rdbcompression', 'no', 'so that a search for residue in its files is a plain search'],
  ['slowlog-max-len', '0', 'the slow log would keep arguments of commands'],
  ['crash-log-enabled', 'no', 'a crash report would print memory and arguments'],
  ['crash-memcheck-enabled', 'no', 'nothing to report'],
  ['maxmemory-policy', 'noeviction', 'credentials are never evicted'],
  ['logfile', 'redis.log', 'relative to dir'],
  ['loglevel', 'notice', 'starts, stops and problems'],
];

/** Text of the file. */
export function redisConfiguration(folder: string): string {
  const lines = DIRECTIVES.map(([name, value, why]) => `# ${why}\n${name} ${value}`);
  return [
    '# Written by vault-server at each start of its own Redis; changes are lost.',
    `dir ${quoted(folder)}`,
    ...lines,
    '',
  ].join('\n');
}

/** A double-quoted argument of a Redis configuration: backslash, quote and control characters escaped. */
function quoted(text: string): string {
  const escaped = [...Buffer.from(text)].map((byte) => {
    if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte < 0x20 || byte > 0x7e
      ? `\\x${byte.toString(16).padStart(2, '0')}`
      : String.fromCharCode(byte);
  });
  return `"${escaped.join('')}"`;
}
