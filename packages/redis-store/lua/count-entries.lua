-- Counts the record ids that exact index entries of one partition hold.
--
-- KEYS[1..] entries: keys of index entries, sets of ids
-- Returns: the sum; "TYPE <key>" where a key holds another type
local sum = 0
for i = 1, #KEYS do
  local size = redis.pcall('SCARD', KEYS[i])
  if type(size) == 'table' then return 'TYPE ' .. KEYS[i] end
  sum = sum + size
end
return sum
