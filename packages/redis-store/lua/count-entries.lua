-- Counts the record ids that index entries of one partition hold.
--
-- KEYS[1..] entries: keys of index entries
-- ARGV[1..] kinds: for each key, i (set of ids) or u (string, one id)
-- Returns: the sum; "TYPE <key>" where a key holds another type
local sum = 0
for i = 1, #KEYS do
  if ARGV[i] == 'u' then
    if type(redis.pcall('STRLEN', KEYS[i])) == 'table' then return 'TYPE ' .. KEYS[i] end
    sum = sum + redis.call('EXISTS', KEYS[i])
  else
    local size = redis.pcall('SCARD', KEYS[i])
    if type(size) == 'table' then return 'TYPE ' .. KEYS[i] end
    sum = sum + size
  end
end
return sum
