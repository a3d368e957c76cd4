-- Let a run wait for a person: it gives up its lease and keeps its place. KEYS[8] the run, KEYS[9] as in finish_run.
-- ARGV: run_id, token, ttl, max_length, bell, legacy bell or '', question, event, data.
-- Returns nil when the run is not the caller's, else 1. The same call again changes nothing.
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'token', 'waiting')
if found[2] ~= ARGV[2] then return false end
if found[1] == 'waiting' and found[3] == ARGV[7] then return 1 end
if found[1] ~= 'processing' then return false end
append(run, legacy, tonumber(ARGV[4]), ARGV[1], ARGV[8], ARGV[9], false)
redis.call('HDEL', run, 'owner', 'lease_until', 'answer')
redis.call('HSET', run, 'status', 'waiting', 'waiting', ARGV[7], 'waiting_since_ms', now_ms())
keep_alive(ARGV[3], {run, legacy})
ring(ARGV[5], ARGV[6])
return 1
