-- Changes the fence of one partition if it still is what the caller read.
--
-- KEYS[1] fence: string, the partition's meta
-- ARGV[1] hasExpected: 0 (absent) or 1
-- ARGV[2] expected: bytes that must stand there
-- ARGV[3] next: bytes to put there
-- Returns: 1 when it was changed or stood there already, else 0; -1 where the key holds another type
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return -1 end
if stored == ARGV[3] then return 1 end
if ARGV[1] == '1' then
  if stored ~= ARGV[2] then return 0 end
elseif stored then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3])
return 1
