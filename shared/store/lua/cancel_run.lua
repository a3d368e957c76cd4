-- Request a cancel; a run without a live lease is ended here. KEYS[8] the run, KEYS[9] as in finish_run.
-- ARGV: prefix of the owners' channel, what finish() takes, then the event and the message that close_open_calls()
-- takes.
-- Returns {outcome, id of the last event, next run}: unknown | ended (before) | cancelled (now) | asked (owner notified).
local run, legacy = KEYS[8], KEYS[9]
local found = redis.call('HMGET', run, 'status', 'lease_until', 'owner', 'completion_id', 'next_run_id')
if not found[1] then return {'unknown', '', ''} end
if found[1] == 'completed' or found[1] == 'failed' then return {'ended', '', ''} end
-- A caller that repeats a call whose answer was lost still has to publish the next run.
if found[1] == 'cancelled' then return {'cancelled', found[4], found[5]} end
redis.call('HSETNX', run, 'cancel_requested_at', ARGV[7])
if found[1] == 'processing' and is_held(found[2]) then
  local owners_channel = ARGV[1] .. found[3]
  redis.call('PUBLISH', owners_channel, '')
  return {'asked', '', ''}
end
close_open_calls(run, legacy, ARGV[2], tonumber(ARGV[4]), ARGV[13], ARGV[15], ARGV[16])
add(run, 'token', 1)
local ended = finish(run, legacy, 2)
return {'cancelled', ended[1], ended[2]}
