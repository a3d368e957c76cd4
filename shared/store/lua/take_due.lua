-- Take the runs that are due for a check, so that one reaper checks each. KEYS[1] the index of open runs.
-- ARGV: how many, milliseconds until they are due again unless rescheduled.
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + ARGV[2], member) end
return due
