-- Read a part of the conversation, bounded in bytes. KEYS[8] the run that the caller owns, or any key without a token.
-- ARGV: token of that run or '', position, how many at most, bytes after which the part ends.
-- Returns nil when the run is no longer the caller's, else {length of the conversation, messages}.
local BATCH = 16
if ARGV[1] ~= '' then
  local found = redis.call('HMGET', KEYS[8], 'status', 'token')
  if found[1] ~= 'processing' or found[2] ~= ARGV[1] then return false end
end
local first, most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local messages, bytes = {}, 0
repeat
  local from = first + #messages
  local batch = redis.call('LRANGE', MESSAGES, from, from + math.min(BATCH, most - #messages) - 1)
  for _, message in ipairs(batch) do
    if bytes >= most_bytes then break end
    messages[#messages + 1], bytes = message, bytes + #message
  end
until #batch < BATCH or #messages >= most or bytes >= most_bytes
return {redis.call('LLEN', MESSAGES), messages}
