-- Writes up to 256 records of one partition with their index entries: all of a record or nothing of it.
-- Nothing is written before everything was checked: fence, types, old values, unique claims.
-- A record that already has its new value counts as done where acceptsNew says so: a resent command is then harmless.
--
-- KEYS[1] fence: string, the partition's meta
-- KEYS[2] ids: sorted set of the partition's record ids
-- KEYS[3..] per operation: the record key, the keys of the entries to add, the keys of those to remove
-- ARGV[1] fence: bytes that the caller holds
-- ARGV[2] count: operations
-- ARGV[3..] per operation: id, hasExpected (0 absent, 1 present), expected bytes, hasValue (0 delete, 1 put), new bytes,
--           acceptsNew (0, 1), number of entries to add, number to remove, then the kind of each, adds first
--           (i exact, u unique, c unique and only checked: no other record may hold it)
-- Returns: array of strings, one an operation: "done"; "changed" (also where an operation before it writes the record);
--          "unique <n> <id>" (the n-th added entry, from 1, is held by that record). Or one string: "STALE"; "TYPE <key>"
--          where a key holds another type
local fence = redis.pcall('GET', KEYS[1])
if type(fence) == 'table' then return { 'TYPE ' .. KEYS[1] } end
if fence ~= ARGV[1] then return { 'STALE' } end
if type(redis.pcall('ZCARD', KEYS[2])) == 'table' then return { 'TYPE ' .. KEYS[2] } end

local results = {}
local claimed = {}
local planned = {}
local plans = {}
local k, a = 3, 3
for op = 1, tonumber(ARGV[2]) do
  local id, hasExpected, hasValue = ARGV[a], ARGV[a + 1] == '1', ARGV[a + 3] == '1'
  local acceptsNew, adds, removes = ARGV[a + 5] == '1', tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
  local recordKey, entryKeys, kinds = KEYS[k], k + 1, a + 8
  local stored = redis.pcall('GET', recordKey)
  if type(stored) == 'table' then return { 'TYPE ' .. recordKey } end
  local isNew = (hasValue and stored == ARGV[a + 4]) or (not hasValue and not stored)
  local isExpected = (hasExpected and stored == ARGV[a + 2]) or (not hasExpected and not stored)
  local result = 'done'
  if planned[recordKey] or (not isExpected and not (isNew and acceptsNew)) then
    result = 'changed'
  elseif isExpected then
    for e = 0, adds + removes - 1 do
      local key = KEYS[entryKeys + e]
      if ARGV[kinds + e] ~= 'i' then
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
        if ARGV[kinds + e] == 'u' then claimed[KEYS[entryKeys + e]] = id end
      end
      plans[#plans + 1] = { id, recordKey, hasValue, a + 4, entryKeys, kinds, adds, removes }
    end
  end
  results[op] = result
  k = entryKeys + adds + removes
  a = kinds + adds + removes
end

for _, plan in ipairs(plans) do
  local id, recordKey, hasValue, valueAt, entryKeys, kinds, adds, removes = unpack(plan)
  if hasValue then
    redis.call('SET', recordKey, ARGV[valueAt])
    redis.call('ZADD', KEYS[2], 0, id)
  else
    redis.call('DEL', recordKey)
    redis.call('ZREM', KEYS[2], id)
  end
  for e = adds, adds + removes - 1 do
    local key = KEYS[entryKeys + e]
    if ARGV[kinds + e] == 'u' then
      if redis.call('GET', key) == id then redis.call('DEL', key) end
    else
      redis.call('SREM', key, id)
    end
  end
  for e = 0, adds - 1 do
    local key = KEYS[entryKeys + e]
    local kind = ARGV[kinds + e]
    if kind == 'u' then
      redis.call('SET', key, id)
    elseif kind == 'i' then
      redis.call('SADD', key, id)
    end
  end
end
return results
