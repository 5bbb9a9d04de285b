-- Counts the records in one page of a scan of all keys, and the record ids that its index entries hold.
-- Counting where the keys are spares the way of every key name to the caller and back.
--
-- ARGV[1] cursor: 0 to begin, then the one of the last call
-- ARGV[2] pattern: of the keys to look at
-- ARGV[3] page size: keys to look at, about
-- ARGV[4] head: what each key of ours begins with, up to the hash tag
-- Returns: { cursor, records, ids in entries }, the cursor 0 at the end; or { "TYPE <key>" } where an entry holds another type
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local head = ARGV[4]
local records, entries = 0, 0
for _, key in ipairs(page[2]) do
  local close = key:sub(1, #head) == head and key:find('}:', #head + 1, true)
  if close and key:sub(close + 3, close + 3) == ':' and key:sub(#head + 1, close) ~= 'meta}' then
    local kind = key:sub(close + 2, close + 2)
    if kind == 'r' then
      records = records + 1
    elseif kind == 'u' then
      -- One string that holds one id.
      entries = entries + 1
    elseif kind == 'i' then
      local size = redis.pcall('SCARD', key)
      if type(size) == 'table' then return { 'TYPE ' .. key } end
      entries = entries + size
    end
  end
end
return { page[1], records, entries }
