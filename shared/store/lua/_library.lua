-- Functions that every script may use. KEYS[1..7] are always the thread's shared keys.
local METADATA, STREAM, RUNS, MESSAGES, STATE, INBOX, IDEMPOTENCY =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]

local function keep_alive(ttl, extra)
  for index = 1, 7 do redis.call('EXPIRE', KEYS[index], ttl) end
  for _, key in ipairs(extra) do redis.call('EXPIRE', key, ttl) end
end

-- Records of earlier runs are renewed where a run begins or ends, not with every event.
local function keep_runs_alive(ttl, run_prefix)
  for _, run_id in ipairs(redis.call('LRANGE', RUNS, 0, -1)) do
    redis.call('EXPIRE', run_prefix .. run_id, ttl)
    local legacy = redis.call('HGET', run_prefix .. run_id, 'legacy_stream')
    if legacy then redis.call('EXPIRE', legacy, ttl) end
  end
end

-- A legacy run's entries stand on its own stream under the same ids; `legacy` is STREAM for all others.
local function append(legacy, max_length, run_id, event, data, is_final)
  local fields = {'event', event, 'data', data, 'run_id', run_id}
  if is_final then
    fields[7], fields[8] = 'final', '1'
  end
  local id
  if max_length > 0 then
    id = redis.call('XADD', STREAM, 'MAXLEN', '~', max_length, '*', unpack(fields))
  else
    id = redis.call('XADD', STREAM, '*', unpack(fields))
  end
  if legacy ~= STREAM then redis.call('XADD', legacy, id, unpack(fields)) end
  return id
end

local function ring(bell, legacy_bell)
  redis.call('PUBLISH', bell, '')
  if legacy_bell ~= '' then redis.call('PUBLISH', legacy_bell, '') end
end

-- Milliseconds by Redis' own clock: leases do not depend on the clocks of workers.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_held(lease_until)
  return (tonumber(lease_until) or 0) > now_ms()
end

-- Make the next run of the inbox active, if `run_id` was the active one; returns its id or ''.
local function hand_on(run_id, run_prefix)
  redis.call('LREM', INBOX, 0, run_id)
  if redis.call('HGET', METADATA, 'active_run_id') ~= run_id then return '' end
  local candidate = redis.call('LPOP', INBOX)
  while candidate and redis.call('HGET', run_prefix .. candidate, 'status') ~= 'pending' do
    candidate = redis.call('LPOP', INBOX)
  end
  redis.call('HSET', METADATA, 'active_run_id', candidate or '')
  return candidate or ''
end

-- Let what was said to a run become part of its conversation and its log; returns the messages.
local function take_said(run, legacy, run_id, max_length, event)
  local messages = {}
  for index, said in ipairs(cjson.decode(redis.call('HGET', run, 'steer') or '[]')) do
    redis.call('RPUSH', MESSAGES, said[2])
    append(legacy, max_length, run_id, event, said[3], false)
    messages[index] = said[2]
  end
  redis.call('HDEL', run, 'steer')
  return messages
end

-- The one end of a run. `first` is the position in ARGV of:
-- run_id, ttl, max_length, bell, legacy bell or '', now, run prefix, status, stop reason, message, usage, event, data.
-- Returns {id of the last event, next run or ''}. The caller has made sure that the run may end.
local function finish(run, legacy, first)
  local run_id, ttl, max_length, bell, legacy_bell, now, run_prefix, status, reason, message, usage, event, data =
    unpack(ARGV, first, first + 12)
  -- What came too late for this run stands in the conversation that the next one reads.
  take_said(run, legacy, run_id, tonumber(max_length), event)
  local completion_id = append(legacy, tonumber(max_length), run_id, event, data, true)
  local next_run = hand_on(run_id, run_prefix)
  redis.call('HSET', METADATA, 'updated_at', now)
  redis.call('HDEL', run, 'owner', 'lease_until', 'waiting')
  redis.call('HSET', run, 'status', status, 'stop_reason', reason, 'message', message, 'usage', usage,
    'ended_at', now, 'completion_id', completion_id, 'next_run_id', next_run)
  keep_alive(ttl, {run, legacy})
  keep_runs_alive(ttl, run_prefix)
  ring(bell, legacy_bell)
  return {completion_id, next_run}
end
