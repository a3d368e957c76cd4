-- Move the steering texts of a run into its conversation and its log.
-- KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: run_id, token, ttl, max_length, channel, legacy channel or '', event name, nonce of this call.
-- Returns nil when the run is not the caller's, else the messages that were taken.
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'token', 'steer', 'steer_nonce', 'steer_first', 'steer_count')
if found[1] ~= 'processing' or found[2] ~= ARGV[2] then return false end
-- Only the owner writes to the conversation, and it waits for this answer: the texts it took are still the last.
local function taken(first, count) return redis.call('LRANGE', MESSAGES, first, first + count - 1) end
if found[4] == ARGV[8] then return taken(number(found[5]), number(found[6])) end
if not found[3] then return {} end
local first, count = take_steering(run, legacy, ARGV[1], tonumber(ARGV[4]), ARGV[7])
trim(tonumber(ARGV[4]))
redis.call('HSET', run, 'steer_nonce', ARGV[8], 'steer_first', first, 'steer_count', count)
keep_alive(ARGV[3], run, legacy)
notify(ARGV[5], ARGV[6])
return taken(first, count)
