-- Give a waiting run its answer, so that it can be claimed again. KEYS[8] the run.
-- ARGV: answer, call_id of the question that is answered, ttl.
-- Returns unknown | not_waiting | answered. The same answer again is answered too, also
-- after the run has gone on.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'waiting', 'waiting_since_ms', 'answer', 'last_answer')
if not found[1] then return 'unknown' end
if found[4] == ARGV[1] then return 'answered' end
if found[5] == ARGV[1] then return 'answered' end
local question = decode(found[2])
if found[1] ~= 'waiting' or not question or question.call_id ~= ARGV[2] then return 'not_waiting' end
local since = number(found[3])
if since > 0 then add(run, 'waited_ms', math.max(math.floor(now_ms() - since), 0)) end
redis.call('HDEL', run, 'waiting', 'waiting_since_ms')
redis.call('HSET', run, 'status', 'pending', 'answer', ARGV[1], 'last_answer', ARGV[1])
keep_alive(ARGV[3], run)
return 'answered'
