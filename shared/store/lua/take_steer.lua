-- Let what was said to a run meanwhile become part of its conversation and its log.
-- KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: run_id, token, ttl, max_length, bell, legacy bell or '', event name, nonce of this call.
-- Returns nil when the run is not the caller's, else the messages that were taken.
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'token', 'steer', 'steer_nonce', 'steer_taken')
if found[1] ~= 'processing' or found[2] ~= ARGV[2] then return false end
if found[4] == ARGV[8] then return cjson.decode(found[5]) end
if not found[3] then return {} end
local messages = take_said(run, legacy, ARGV[1], tonumber(ARGV[4]), ARGV[7])
redis.call('HSET', run, 'steer_nonce', ARGV[8], 'steer_taken', cjson.encode(messages))
keep_alive(ARGV[3], run, legacy)
ring(ARGV[5], ARGV[6])
return messages
