-- Writes up to 256 records of one partition with their index entries: all of a record or nothing of it.
-- Nothing is written before everything was checked: fence, types, old values, unique claims.
-- A command that is sent again may have been executed before. What can be told from what stands there is told: a new value
-- that no other command can have written was written by this one, and an old value that is never written twice stands there
-- only if it was not executed. Else nothing is written, and the answer is that it is unknown.
--
-- KEYS[1] fence: string, the partition's meta
-- KEYS[2] ids: sorted set of the partition's record ids
-- KEYS[3] none: never exists; a difference of sets that begins with it checks types, and reads no member
-- KEYS[4..] per operation: the record key, the keys of the entries to add, the keys of those to remove
--           Not in KEYS, since only the entry names it: the record that holds a unique entry already. It is asked
--           for its existence alone, and is of the same partition: the same hash tag, so the same slot and server.
-- ARGV[1] fence: bytes that the caller holds
-- ARGV[2] count: operations
-- ARGV[3] operations: packed one after the other (an argument each would cost more than the write), numbers big-endian:
--           hasExpected (1 byte: 0 absent, 1 present), hasValue (1: 0 delete, 1 put), acceptsNew (1: 1 where the new value
--           standing there already means done), mayRepeat (1: 1 where the old value standing there means not executed yet),
--           number of entries to add (2), number to remove (2), id (length 2, bytes), expected bytes (length 4, bytes),
--           new bytes (length 4, bytes), and one letter an entry, adds first (length 2, letters):
--           i exact, u unique, c unique and only checked: no other record may hold it
-- ARGV[4] sent: one byte: 0 sent for the first time, 1 sent before and not answered
-- Returns: array of strings: "ALL" alone where all operations are done; or one an operation: "done"; "changed" (also where
--          an operation before it writes the record); "unknown" (sent before, and nobody can tell); "unique <n> <id>" (the n-th added entry, from 1, is held by that
--          record). Or one string: "STALE"; "TYPE <key>" where a key holds another type
local fence = redis.pcall('GET', KEYS[1])
if type(fence) == 'table' then return { 'TYPE ' .. KEYS[1] } end
if fence ~= ARGV[1] then return { 'STALE' } end
if type(redis.pcall('ZCARD', KEYS[2])) == 'table' then return { 'TYPE ' .. KEYS[2] } end

local EXACT, UNIQUE = ('i'):byte(), ('u'):byte()
-- Fewer than Lua can take from a table at once.
local KEYS_PER_COMMAND = 1000

local wasSent = ARGV[4]:byte() == 1
local ops, recordKeys, setKeys = {}, {}, {}
local k, at = 4, 1
for op = 1, tonumber(ARGV[2]) do
  local hasExpected, hasValue, acceptsNew, mayRepeat, adds, removes, id, expected, value, kinds
  hasExpected, hasValue, acceptsNew, mayRepeat, adds, removes, id, expected, value, kinds, at =
    struct.unpack('>BBBBHHHc0I4c0I4c0Hc0', ARGV[3], at)
  ops[op] = {
    id = id, expected = hasExpected == 1 and expected, value = hasValue == 1 and value,
    acceptsNew = acceptsNew == 1, mayRepeat = mayRepeat == 1, adds = adds, entries = adds + removes, kinds = kinds, keysAt = k,
  }
  recordKeys[op] = KEYS[k]
  for e = 1, adds + removes do
    if kinds:byte(e) == EXACT then setKeys[#setKeys + 1] = KEYS[k + e] end
  end
  k = k + adds + removes + 1
end

for first = 1, #setKeys, KEYS_PER_COMMAND do
  local last = math.min(first + KEYS_PER_COMMAND - 1, #setKeys)
  local refusal = redis.pcall('SDIFF', KEYS[3], unpack(setKeys, first, last)).err
  if refusal and refusal:sub(1, 9) ~= 'WRONGTYPE' then return redis.error_reply(refusal) end
  if refusal then
    for i = first, last do
      if type(redis.pcall('SISMEMBER', setKeys[i], '')) == 'table' then return { 'TYPE ' .. setKeys[i] } end
    end
  end
end

local storedValues = #ops > 1 and redis.call('MGET', unpack(recordKeys)) or {}
local results, allDone = {}, true
local claimed, planned = {}, {}
local plans, sets, listed = {}, {}, {}
for n, op in ipairs(ops) do
  local recordKey = recordKeys[n]
  -- Of several, one that is absent and one of another type look the same.
  local stored = storedValues[n] or redis.pcall('GET', recordKey)
  if type(stored) == 'table' then return { 'TYPE ' .. recordKey } end
  local isNew, isExpected = stored == op.value, stored == op.expected
  local result = 'done'
  if planned[recordKey] then
    result = 'changed'
  elseif not isExpected and isNew and op.acceptsNew then
    result = 'done'
  elseif wasSent and not (isExpected and op.mayRepeat) then
    result = 'unknown'
  elseif not isExpected then
    result = 'changed'
  else
    for e = 1, op.entries do
      if op.kinds:byte(e) ~= EXACT then
        local key = KEYS[op.keysAt + e]
        local holder = redis.pcall('GET', key)
        if type(holder) == 'table' then return { 'TYPE ' .. key } end
        if e <= op.adds and holder and holder ~= op.id then
          -- An entry that points at no record is left over from one that could not be read: it holds nothing.
          -- By PTTL (-2: there is no such key), which the user of docs/redis.md may call: EXISTS would be one right more.
          local recordPrefix = recordKey:sub(1, #recordKey - #op.id)
          if redis.call('PTTL', recordPrefix .. holder) == -2 then holder = false end
        end
        holder = claimed[key] or holder
        if e <= op.adds and holder and holder ~= op.id then
          result = 'unique ' .. e .. ' ' .. holder
          break
        end
      end
    end
    if result == 'done' then
      planned[recordKey] = true
      for e = 1, op.adds do
        if op.kinds:byte(e) == UNIQUE then claimed[KEYS[op.keysAt + e]] = op.id end
      end
      plans[#plans + 1] = op
      if op.value then
        sets[#sets + 1] = recordKey
        sets[#sets + 1] = op.value
        listed[#listed + 1] = 0
        listed[#listed + 1] = op.id
      end
    end
  end
  results[n] = result
  allDone = allDone and result == 'done'
end

-- First of all what may be refused for want of memory.
if #sets > 0 then
  redis.call('MSET', unpack(sets))
  redis.call('ZADD', KEYS[2], unpack(listed))
end
for _, op in ipairs(plans) do
  if not op.value then
    redis.call('DEL', KEYS[op.keysAt])
    redis.call('ZREM', KEYS[2], op.id)
  end
  for e = op.adds + 1, op.entries do
    local key = KEYS[op.keysAt + e]
    if op.kinds:byte(e) == UNIQUE then
      if redis.call('GET', key) == op.id then redis.call('DEL', key) end
    else
      redis.call('SREM', key, op.id)
    end
  end
  for e = 1, op.adds do
    local key, kind = KEYS[op.keysAt + e], op.kinds:byte(e)
    if kind == UNIQUE then
      redis.call('SET', key, op.id)
    elseif kind == EXACT then
      redis.call('SADD', key, op.id)
    end
  end
end
return allDone and { 'ALL' } or results
