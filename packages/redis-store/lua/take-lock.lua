-- Takes the migration lock where it is free, or renews one's own, or takes over that of a process that is dead.
--
-- KEYS[1] lock: string
-- ARGV[1] token: what a lock of the caller begins with
-- ARGV[2] value: token and who holds it
-- ARGV[3] ttlMs: time to live, in ms
-- ARGV[4] mode: take (free, or own already), renew (own only), or over (stands as ARGV[5])
-- ARGV[5] seen: bytes of the lock to take over
-- Returns: { 1 } when the caller holds it now; else { 0, bytes of the lock (empty: none), remaining ms (-1: for ever) }; "TYPE <key>"
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return 'TYPE ' .. KEYS[1] end
local own = stored and string.sub(stored, 1, #ARGV[1]) == ARGV[1]
local free = not stored and ARGV[4] ~= 'renew'
local over = ARGV[4] == 'over' and stored == ARGV[5]
if own or free or over then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return { 1 }
end
return { 0, stored or '', redis.call('PTTL', KEYS[1]) }
