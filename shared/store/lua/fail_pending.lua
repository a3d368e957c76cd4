-- End a run that no worker has claimed. KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: what finish() takes. Returns nil when a worker has ever claimed it or it has ended, else what finish() returns.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'idempotency_key', 'completion_id', 'next_run_id', 'token')
-- The same call again gets the same answer; a run that was failed unclaimed still has its first token.
if found[3] and found[5] == '0' then return {found[3], found[4]} end
-- One that was answered is pending again, but half done.
if found[1] ~= 'pending' or number(found[5]) > 0 then return false end
-- A run that never began must not be what a repeated request is answered with.
if found[2] and found[2] ~= '' then redis.call('HDEL', IDEMPOTENCY, found[2]) end
return finish(run, KEYS[9], 1)
