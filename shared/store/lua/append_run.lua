-- Write what a run has to say, all or nothing, if the caller still owns the run.
-- KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: run_id, token, sequence, ttl, max_length, bell, legacy bell or '', usage or '',
-- number of state items, of messages,
-- state field, value, …, messages, …, and event, data, … for the rest.
-- Returns nil when the token is not the run's; 1 when written, 0 when this sequence was written before.
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'token', 'sequence')
if found[1] ~= 'processing' or found[2] ~= ARGV[2] then return false end
if tonumber(ARGV[3]) <= tonumber(found[3]) then return 0 end
redis.call('HSET', run, 'sequence', ARGV[3])
if ARGV[8] ~= '' then redis.call('HSET', run, 'usage', ARGV[8]) end
local first_message = 11 + tonumber(ARGV[9])
local first_event = first_message + tonumber(ARGV[10])
if first_message > 11 then redis.call('HSET', STATE, unpack(ARGV, 11, first_message - 1)) end
for index = first_message, first_event - 1 do redis.call('RPUSH', MESSAGES, ARGV[index]) end
local max_length = tonumber(ARGV[5])
for index = first_event, #ARGV, 2 do
  append(legacy, max_length, ARGV[1], ARGV[index], ARGV[index + 1], false)
end
keep_alive(ARGV[4], {run, legacy})
if first_event <= #ARGV then ring(ARGV[6], ARGV[7]) end
return 1
