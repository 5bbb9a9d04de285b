-- Writes one heartbeat, and lists the process among those that have beaten.
--
-- KEYS[1] process: string, the heartbeat
-- KEYS[2] processes: sorted set of process ids by the time their heartbeat ends
-- ARGV[1] value: the heartbeat
-- ARGV[2] ttlMs: time to live, in ms
-- ARGV[3] id: of the process
-- ARGV[4] endsAtMs: when the heartbeat ends, ms since the epoch
-- ARGV[5] forgetBeforeMs: ids whose heartbeat ended before are taken off the list, ms since the epoch
-- Returns: 1; "TYPE <key>" where a key holds another type
if type(redis.pcall('ZCARD', KEYS[2])) == 'table' then return 'TYPE ' .. KEYS[2] end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
return 1
