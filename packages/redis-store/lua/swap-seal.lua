-- Changes the seal if it still is what the caller read, and the caller still holds the migration lock.
--
-- KEYS[1] seal: string
-- KEYS[2] lock: string, the migration lock
-- ARGV[1] token: what the lock of the caller begins with
-- ARGV[2] hasExpected: 0 (absent) or 1
-- ARGV[3] expected: bytes that must stand in the seal
-- ARGV[4] next: bytes to put there
-- Returns: "done" when it was changed or stood there already, "unlocked", "changed", or "TYPE <key>"
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return 'TYPE ' .. KEYS[1] end
local lock = redis.pcall('GET', KEYS[2])
if type(lock) == 'table' then return 'TYPE ' .. KEYS[2] end
if not lock or string.sub(lock, 1, #ARGV[1]) ~= ARGV[1] then return 'unlocked' end
if stored == ARGV[4] then return 'done' end
if ARGV[2] == '1' then
  if stored ~= ARGV[3] then return 'changed' end
elseif stored then
  return 'changed'
end
redis.call('SET', KEYS[1], ARGV[4])
return 'done'
