-- Read a part of the conversation, bounded in bytes. KEYS[8] the run of whoever reads as its owner, or any.
-- ARGV: token of that run or '', position, how many at most, bytes after which the part ends.
-- Returns nil when the run is no longer the caller's, else {length of the conversation, messages}.
local LOT = 16
if ARGV[1] ~= '' then
  local found = redis.call('HMGET', KEYS[8], 'status', 'token')
  if found[1] ~= 'processing' or found[2] ~= ARGV[1] then return false end
end
local first, most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local messages, bytes = {}, 0
repeat
  local from = first + #messages
  local lot = redis.call('LRANGE', MESSAGES, from, from + math.min(LOT, most - #messages) - 1)
  for _, message in ipairs(lot) do
    if bytes >= most_bytes then break end
    messages[#messages + 1], bytes = message, bytes + #message
  end
until #lot < LOT or #messages >= most or bytes >= most_bytes
return {redis.call('LLEN', MESSAGES), messages}
