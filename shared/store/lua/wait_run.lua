-- Let a run wait for a person: it gives up its lease and keeps its place. KEYS[8] the run, KEYS[9] as in finish_run.
-- ARGV: run_id, token, ttl, max_length, channel, legacy channel or '', question, event, data.
-- Returns nil when the run is not the caller's; waiting; or cancelled or steered when a cancel or a steering text came
-- meanwhile, and the run does not wait. The same call again changes nothing.
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'token', 'waiting', 'cancel_requested_at', 'steer')
if found[2] ~= ARGV[2] then return false end
if found[1] == 'waiting' and found[3] == ARGV[7] then return 'waiting' end
if found[1] ~= 'processing' then return false end
-- Both need a worker, and the run would have none until the question is answered.
if found[4] then return 'cancelled' end
if found[5] then return 'steered' end
append(run, legacy, tonumber(ARGV[4]), ARGV[1], ARGV[8], ARGV[9], false)
trim(tonumber(ARGV[4]))
redis.call('HDEL', run, 'owner', 'lease_until', 'answer')
redis.call('HSET', run, 'status', 'waiting', 'waiting', ARGV[7], 'waiting_since_ms', now_ms())
keep_alive(ARGV[3], run, legacy)
notify(ARGV[5], ARGV[6])
return 'waiting'
