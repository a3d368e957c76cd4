-- Release a run, so that another worker can claim it at once. KEYS[8] the run. ARGV: token.
-- Returns nil when the run is no longer the caller's, else 1.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'token')
if found[1] ~= 'processing' or found[2] ~= ARGV[1] then return false end
redis.call('HSET', run, 'lease_until', 0, 'released', 1)
redis.call('HDEL', run, 'owner')
return 1
