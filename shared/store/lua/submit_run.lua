-- Store a run and make it the thread's active run, or queue it in the inbox.
-- KEYS[8] the run. ARGV: run_id, ttl, idempotency key or '', on_busy, now, run prefix,
-- for steer: the message and the event for the active run; how many steering texts may wait, and how many bytes; then
-- field, value, …
-- Returns {outcome, run_id, active run or ''}: unknown | repeated | busy | active | queued | steered | waiting | full
-- (run_id is the active run's for the last three). Steering needs an idempotency key, so that a repeat adds no text.
-- The same run_id twice changes nothing.
local run_id, ttl, idempotency_key, on_busy, now, run_prefix =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.call('EXISTS', METADATA) == 0 then return {'unknown', '', ''} end
if idempotency_key ~= '' then
  local earlier = redis.call('HGET', IDEMPOTENCY, idempotency_key)
  if earlier and earlier ~= run_id then return {'repeated', earlier, ''} end
end
local active = redis.call('HGET', METADATA, 'active_run_id')
if redis.call('EXISTS', KEYS[8]) == 1 then
  return {active == run_id and 'active' or 'queued', run_id, active or ''}
end
local is_busy = active and active ~= ''
if is_busy and on_busy == 'reject' then return {'busy', active, active} end
if is_busy and on_busy == 'steer' then
  -- A text for a run that waits for a person is its answer, which is another call.
  if redis.call('HGET', run_prefix .. active, 'status') == 'waiting' then return {'waiting', active, active} end
  local target = run_prefix .. active
  local found = redis.call('HMGET', target, 'steer', 'steer_count')
  local waiting, size = found[1], #ARGV[7] + #ARGV[8]
  -- Earlier versions neither count the texts that they add nor begin anew when they take them all.
  local count = waiting and number(found[2]) or 0
  -- The first is always accepted, whatever its size.
  if waiting and (count >= tonumber(ARGV[9]) or #waiting + size > tonumber(ARGV[10])) then
    return {'full', active, active}
  end
  -- Message and event were made before the active run was known: replace the request's id by the active run's.
  local requested = '"run_id":"' .. run_id:gsub('%p', '%%%0') .. '"'
  local function active_member() return '"run_id":' .. cjson.encode(active) end
  local message, event = (ARGV[7]:gsub(requested, active_member)), (ARGV[8]:gsub(requested, active_member))
  redis.call('HSET', target, 'steer', with_steering(waiting, {run_id, message, event}), 'steer_count', count + 1)
  if idempotency_key ~= '' then redis.call('HSET', IDEMPOTENCY, idempotency_key, active) end
  keep_alive(ttl, run_prefix .. active)
  return {'steered', active, active}
end
redis.call('HSET', KEYS[8], 'status', 'pending', 'idempotency_key', idempotency_key, unpack(ARGV, 11))
redis.call('LPUSH', RUNS, run_id)
add(METADATA, 'run_count', 1)
redis.call('HSET', METADATA, 'last_run_id', run_id, 'updated_at', now)
if idempotency_key ~= '' then redis.call('HSET', IDEMPOTENCY, idempotency_key, run_id) end
if is_busy then
  redis.call(on_busy == 'interrupt' and 'LPUSH' or 'RPUSH', INBOX, run_id)
  -- An interrupting run is next. The gateway cancels the active run; if it dies first, a renewal or a reaper does.
  if on_busy == 'interrupt' then redis.call('HSETNX', run_prefix .. active, 'cancel_requested_at', now) end
else
  redis.call('HSET', METADATA, 'active_run_id', run_id)
end
keep_alive(ttl, KEYS[8])
return {is_busy and 'queued' or 'active', run_id, active or ''}
