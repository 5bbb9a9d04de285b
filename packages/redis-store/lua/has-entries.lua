-- Tells whether records of one partition are filed under index entries.
--
-- KEYS[1..] entries: keys of index entries
-- ARGV[1..] per key: kind (i set of ids, u string, one id), then the record id
-- Returns: string of 0 and 1, one character a key
local found = {}
for i = 1, #KEYS do
  local id = ARGV[2 * i]
  local is
  if ARGV[2 * i - 1] == 'u' then
    is = redis.pcall('GET', KEYS[i]) == id
  else
    is = redis.pcall('SISMEMBER', KEYS[i], id) == 1
  end
  found[i] = is and '1' or '0'
end
return table.concat(found)
