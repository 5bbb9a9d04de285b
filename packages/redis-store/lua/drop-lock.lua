-- Gives the migration lock back, if it is the caller's.
--
-- KEYS[1] lock: string
-- ARGV[1] token: what a lock of the caller begins with
-- Returns: 1 when it was dropped, else 0
local stored = redis.pcall('GET', KEYS[1])
if type(stored) ~= 'string' or string.sub(stored, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
