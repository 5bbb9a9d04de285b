-- Reads the records filed under one value in one round trip: ids of the entries, then the records.
-- The fence is compared too: a process that holds an old view would ask under old tokens and miss records.
--
-- KEYS[1] fence: string, the partition's meta
-- KEYS[2..] entries: the index entry under each key in use (two while a rekey runs)
-- ARGV[1] fence: bytes that the caller holds
-- ARGV[2] kind: i (sets of ids) or u (strings, one id)
-- ARGV[3] recordPrefix: name of a record key without the id, of the same partition
-- ARGV[4] maxRecords: more than this are not read
-- ARGV[5] maxBytes: reading stops where the records together are longer
-- Returns: { "STALE" }, { "TYPE <key>" }, { "MANY" } where a bound is met, or { "OK", id, bytes, id, bytes … } (bytes false where the record is gone)
local fence = redis.pcall('GET', KEYS[1])
if type(fence) == 'table' then return { 'TYPE ' .. KEYS[1] } end
if fence ~= ARGV[1] then return { 'STALE' } end

local maxRecords, maxBytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local seen, ids = {}, {}
for i = 2, #KEYS do
  local found
  if ARGV[2] == 'u' then
    local id = redis.pcall('GET', KEYS[i])
    if type(id) == 'table' then return { 'TYPE ' .. KEYS[i] } end
    found = id and { id } or {}
  else
    local size = redis.pcall('SCARD', KEYS[i])
    if type(size) == 'table' then return { 'TYPE ' .. KEYS[i] } end
    if size > maxRecords then return { 'MANY' } end
    found = redis.call('SMEMBERS', KEYS[i])
  end
  for _, id in ipairs(found) do
    if not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
end
if #ids > maxRecords then return { 'MANY' } end

local reply, bytes = { 'OK' }, 0
for _, id in ipairs(ids) do
  local stored = redis.pcall('GET', ARGV[3] .. id)
  if type(stored) == 'table' then return { 'TYPE ' .. ARGV[3] .. id } end
  if stored then bytes = bytes + #stored end
  if bytes > maxBytes then return { 'MANY' } end
  reply[#reply + 1] = id
  reply[#reply + 1] = stored
end
return reply
