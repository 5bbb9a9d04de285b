-- Writes up to 256 records of one partition with their index entries: all of a record or nothing of it.
-- Nothing is written before everything was checked: fence, types, old values, unique claims.
-- A record that already has its new value counts as done where acceptsNew says so: a resent command is then harmless.
--
-- KEYS[1] fence: string, the partition's meta
-- KEYS[2] ids: sorted set of the partition's record ids
-- KEYS[3..] per operation: the record key, the keys of the entries to add, the keys of those to remove
-- ARGV[1] fence: bytes that the caller holds
-- ARGV[2] count: operations
-- ARGV[3] operations: packed one after the other (an argument each would cost more than the write), numbers big-endian:
--           hasExpected (1 byte: 0 absent, 1 present), hasValue (1: 0 delete, 1 put), acceptsNew (1: 0, 1),
--           number of entries to add (2), number to remove (2), id (length 2, bytes), expected bytes (length 4, bytes),
--           new bytes (length 4, bytes), and one letter an entry, adds first (length 2, letters):
--           i exact, u unique, c unique and only checked: no other record may hold it
-- Returns: array of strings: "ALL" alone where all operations are done; or one an operation: "done"; "changed" (also where
--          an operation before it writes the record); "unique <n> <id>" (the n-th added entry, from 1, is held by that
--          record). Or one string: "STALE"; "TYPE <key>" where a key holds another type
local fence = redis.pcall('GET', KEYS[1])
if type(fence) == 'table' then return { 'TYPE ' .. KEYS[1] } end
if fence ~= ARGV[1] then return { 'STALE' } end
if type(redis.pcall('ZCARD', KEYS[2])) == 'table' then return { 'TYPE ' .. KEYS[2] } end

local EXACT, UNIQUE = ('i'):byte(), ('u'):byte()
local packed, at = ARGV[3], 1
local results = {}
local claimed = {}
local planned = {}
local plans = {}
local k, allDone = 3, true
for op = 1, tonumber(ARGV[2]) do
  local hasExpected, hasValue, acceptsNew, adds, removes, id, expected, value, kinds
  hasExpected, hasValue, acceptsNew, adds, removes, id, expected, value, kinds, at =
    struct.unpack('>BBBHHHc0I4c0I4c0Hc0', packed, at)
  hasExpected, hasValue, acceptsNew = hasExpected == 1, hasValue == 1, acceptsNew == 1
  local recordKey, entryKeys = KEYS[k], k + 1
  local stored = redis.pcall('GET', recordKey)
  if type(stored) == 'table' then return { 'TYPE ' .. recordKey } end
  local isNew = (hasValue and stored == value) or (not hasValue and not stored)
  local isExpected = (hasExpected and stored == expected) or (not hasExpected and not stored)
  local result = 'done'
  if planned[recordKey] or (not isExpected and not (isNew and acceptsNew)) then
    result = 'changed'
  elseif isExpected then
    for e = 0, adds + removes - 1 do
      local key = KEYS[entryKeys + e]
      if kinds:byte(e + 1) ~= EXACT then
        local holder = redis.pcall('GET', key)
        if type(holder) == 'table' then return { 'TYPE ' .. key } end
        holder = claimed[key] or holder
        if e < adds and holder and holder ~= id then
          result = 'unique ' .. (e + 1) .. ' ' .. holder
          break
        end
      elseif type(redis.pcall('SISMEMBER', key, id)) == 'table' then
        return { 'TYPE ' .. key }
      end
    end
    if result == 'done' then
      planned[recordKey] = true
      for e = 0, adds - 1 do
        if kinds:byte(e + 1) == UNIQUE then claimed[KEYS[entryKeys + e]] = id end
      end
      plans[#plans + 1] = { id, recordKey, hasValue and value, entryKeys, kinds, adds, removes }
    end
  end
  results[op] = result
  allDone = allDone and result == 'done'
  k = entryKeys + adds + removes
end

for _, plan in ipairs(plans) do
  local id, recordKey, value, entryKeys, kinds, adds, removes = unpack(plan)
  if value then
    redis.call('SET', recordKey, value)
    redis.call('ZADD', KEYS[2], 0, id)
  else
    redis.call('DEL', recordKey)
    redis.call('ZREM', KEYS[2], id)
  end
  for e = adds, adds + removes - 1 do
    local key = KEYS[entryKeys + e]
    if kinds:byte(e + 1) == UNIQUE then
      if redis.call('GET', key) == id then redis.call('DEL', key) end
    else
      redis.call('SREM', key, id)
    end
  end
  for e = 0, adds - 1 do
    local key = KEYS[entryKeys + e]
    local kind = kinds:byte(e + 1)
    if kind == UNIQUE then
      redis.call('SET', key, id)
    elseif kind == EXACT then
      redis.call('SADD', key, id)
    end
  end
end
return allDone and { 'ALL' } or results
