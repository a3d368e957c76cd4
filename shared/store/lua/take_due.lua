-- Take the runs that are due for a look, so that one reaper looks at each. KEYS[1] the index of open runs.
-- ARGV: how many, milliseconds until they are due again unless somebody says otherwise.
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + ARGV[2], member) end
return due
