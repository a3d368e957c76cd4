-- End a run that a worker owns. KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: token, then what finish() takes. Returns nil when the token is not the run's, {} when the run would complete
-- but has steering texts to take, else what finish() returns.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'token', 'completion_id', 'next_run_id', 'steer')
if found[2] ~= ARGV[1] then return false end
if found[3] then return {found[3], found[4]} end
if found[1] ~= 'processing' then return false end
if ARGV[9] == 'completed' and found[5] then return {} end
return finish(run, KEYS[9], 2)
