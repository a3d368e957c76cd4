-- Ask a run to stop; one that no living worker owns is ended here. KEYS[8] the run, KEYS[9] as in finish_run.
-- ARGV: prefix of the owners' bells, what finish() takes, then the event and the message that end a call which the
-- lost owner left open ('' when there are none): each call's own uuid, type, times and id take the place of theirs.
-- Returns {outcome, id of the last event, next run}: unknown | ended (before) | cancelled (now) | asked (its owner).
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'lease_until', 'owner', 'completion_id', 'next_run_id', 'token')
if not found[1] then return {'unknown', '', ''} end
if found[1] == 'completed' or found[1] == 'failed' then return {'ended', '', ''} end
-- Who asks again because the answer was lost still has to publish the next run.
if found[1] == 'cancelled' then return {'cancelled', found[4], found[5]} end
redis.call('HSETNX', run, 'cancel_requested_at', ARGV[7])
if found[1] == 'processing' and is_held(found[2]) then
  local owners_bell = ARGV[1] .. found[3]
  redis.call('PUBLISH', owners_bell, '')
  return {'asked', '', ''}
end
-- The state is the active run's, so what it shows open was begun by this run only if it has ever been claimed.
if (tonumber(found[6]) or 0) > 0 and ARGV[15] ~= '' then
  for _, call in ipairs(cjson.decode(redis.call('HGET', STATE, 'in_flight') or '[]')) do
    local event, message = cjson.decode(ARGV[15]), cjson.decode(ARGV[16])
    event.uuid, event.execute_type = call.uuid, 'tool_' .. call.name
    event.create_at, event.execute_start_at = call.began_at, call.began_at
    message.tool_call_id = call.call_id
    append(run, legacy, tonumber(ARGV[4]), ARGV[2], ARGV[13], cjson.encode(event), false)
    redis.call('RPUSH', MESSAGES, cjson.encode(message))
  end
  redis.call('HSET', STATE, 'in_flight', '[]')
end
redis.call('HINCRBY', run, 'token', 1)
local ended = finish(run, legacy, 2)
return {'cancelled', ended[1], ended[2]}
