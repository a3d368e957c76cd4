-- End a run that no worker has claimed. KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: what finish() takes. Returns nil when a worker has ever claimed it or it has ended, else what finish() returns.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'idempotency_key', 'completion_id', 'next_run_id', 'token')
-- A repeated call gets the same answer; a run that failed unclaimed still has its first token.
if found[3] and found[5] == '0' then return {found[3], found[4]} end
-- An answered run is pending again, but was claimed before.
if found[1] ~= 'pending' or number(found[5]) > 0 then return false end
-- A run that never started must not be the answer to a repeated request.
if found[2] and found[2] ~= '' then redis.call('HDEL', IDEMPOTENCY, found[2]) end
return finish(run, KEYS[9], 1)
