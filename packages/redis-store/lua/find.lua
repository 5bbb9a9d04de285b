-- Reads the records filed under some values in one round trip: ids of the entries, then the records.
-- The fence is compared too: a process that holds an old view would ask under old tokens and miss records.
--
-- KEYS[1] fence: string, the partition's meta
-- KEYS[2..] entries: per lookup the index entry under each key in use (two while a rekey runs)
-- ARGV[1] fence: bytes that the caller holds
-- ARGV[2] recordPrefix: name of a record key without the id, of the same partition
-- ARGV[3] maxRecords: more than this are not read, all lookups together
-- ARGV[4] maxBytes: reading stops where the records together are longer
-- ARGV[5..] per lookup: kind (i sets of ids, u strings of one id), number of its keys
-- Returns: { "STALE" }; { "TYPE <key>" }; or { "OK", one array a lookup }: { id, bytes, id, bytes … } (bytes false where the
--          record is gone), or { "MANY" } where a bound was met
local fence = redis.pcall('GET', KEYS[1])
if type(fence) == 'table' then return { 'TYPE ' .. KEYS[1] } end
if fence ~= ARGV[1] then return { 'STALE' } end

local recordPrefix, recordsLeft, bytesLeft = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local reply = { 'OK' }
local k = 2
for a = 5, #ARGV, 2 do
  local isUnique, count = ARGV[a] == 'u', tonumber(ARGV[a + 1])
  local seen, ids, isMany = {}, {}, false
  for i = k, k + count - 1 do
    local found
    if isUnique then
      local id = redis.pcall('GET', KEYS[i])
      if type(id) == 'table' then return { 'TYPE ' .. KEYS[i] } end
      found = id and { id } or {}
    else
      local size = redis.pcall('SCARD', KEYS[i])
      if type(size) == 'table' then return { 'TYPE ' .. KEYS[i] } end
      isMany = isMany or size > recordsLeft
      found = isMany and {} or redis.call('SMEMBERS', KEYS[i])
    end
    for _, id in ipairs(found) do
      if not seen[id] then
        seen[id] = true
        ids[#ids + 1] = id
      end
    end
  end
  k = k + count
  local records = {}
  isMany = isMany or #ids > recordsLeft
  if not isMany then
    for _, id in ipairs(ids) do
      local stored = redis.pcall('GET', recordPrefix .. id)
      if type(stored) == 'table' then return { 'TYPE ' .. recordPrefix .. id } end
      if stored then bytesLeft = bytesLeft - #stored end
      isMany = isMany or bytesLeft < 0
      records[#records + 1] = id
      records[#records + 1] = stored
    end
    recordsLeft = recordsLeft - #ids
  end
  reply[#reply + 1] = isMany and { 'MANY' } or records
end
return reply
