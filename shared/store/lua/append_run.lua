-- Write events, messages and state of a run, all or nothing, if the caller still owns it.
-- KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: run_id, token, sequence, ttl, max_length, channel, legacy channel or '', usage or '',
-- '1' when this supersedes the text deltas of earlier writes, number of state items, of messages,
-- name of the events, state field, value, …, messages, …, and the data of each event for the rest.
-- Returns nil when the token is not the run's; 1 when written, 0 when this sequence was written before.
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'token', 'sequence')
if found[1] ~= 'processing' or found[2] ~= ARGV[2] then return false end
if tonumber(ARGV[3]) <= tonumber(found[3]) then return 0 end
redis.call('HSET', run, 'sequence', ARGV[3])
if ARGV[8] ~= '' then redis.call('HSET', run, 'usage', ARGV[8]) end
local first_message = 13 + tonumber(ARGV[10])
local first_event = first_message + tonumber(ARGV[11])
if first_message > 13 then redis.call('HSET', STATE, unpack(ARGV, 13, first_message - 1)) end
for index = first_message, first_event - 1 do redis.call('RPUSH', MESSAGES, ARGV[index]) end
local max_length = tonumber(ARGV[5])
local began_with, is_noted = nil, true
if ARGV[9] == '1' then
  began_with = first_id()
  drop_deltas(run, legacy, ARGV[1])
  is_noted = not began_with or note_beginning(began_with)
end
for index = first_event, #ARGV do
  append(run, legacy, max_length, ARGV[1], ARGV[12], ARGV[index], false)
  is_noted = is_noted or note_beginning(began_with)
end
trim(max_length)
-- Events alone make no key but the streams, and TTL rounds: the stream has its full time for half a second after all keys
-- were renewed. So of many small writes of text few pay for that.
local has_events_alone = first_event == 13 and ARGV[8] == '' and legacy == STREAM
if not (has_events_alone and redis.call('TTL', STREAM) == tonumber(ARGV[4])) then keep_alive(ARGV[4], run, legacy) end
if first_event <= #ARGV then notify(ARGV[6], ARGV[7]) end
return 1
