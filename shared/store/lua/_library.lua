-- Functions that every script may use. KEYS[1..7] are always the thread's shared keys.
local METADATA, STREAM, RUNS, MESSAGES, STATE, INBOX, IDEMPOTENCY =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local DELTA = 'assistant_delta'
local LARGE_ENTRY_BYTES = 65536

-- Milliseconds by Redis' own clock: leases do not depend on the clocks of workers.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A field of a record, whatever it holds: an invalid number counts as 0, invalid JSON as absent.
local function number(text)
  local found = tonumber(text or '')
  return found and found == found and math.abs(found) < 2 ^ 53 and found or 0
end
local function add(key, field, amount)
  redis.call('HSET', key, field, string.format('%.0f', number(redis.call('HGET', key, field)) + amount))
end
local function decode(text)
  local is_read, value = pcall(cjson.decode, text or '')
  return is_read and type(value) == 'table' and value or nil
end
-- A field of another run's record; a key that is not a hash has no fields.
local function field_of(key, field)
  return redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, field)
end

-- A write extends the TTL of all keys of the thread. The keys of its runs get an eighth more, so that they outlive the
-- thread although those of earlier runs are renewed only once in an eighth: a thread may have many thousands.
local RENEW_BATCH = 2000
local function renew_run_keys(run, longer)
  redis.call('EXPIRE', run, longer)
  local legacy = field_of(run, 'legacy_stream')
  if legacy then redis.call('EXPIRE', legacy, longer) end
end
local function keep_alive(ttl, run, legacy)
  for index = 1, 7 do redis.call('EXPIRE', KEYS[index], ttl) end
  local longer = ttl + math.ceil(ttl / 8)
  if run then redis.call('EXPIRE', run, longer) end
  if legacy and legacy ~= STREAM then redis.call('EXPIRE', legacy, longer) end
  local now = now_ms()
  local age = now - number(redis.call('HGET', METADATA, 'runs_renewed_ms'))
  if age >= 0 and age < ttl * 1000 / 8 then return end
  -- Counted from the oldest, so that new runs do not shift the positions; many thousands take several writes.
  local done = number(redis.call('HGET', METADATA, 'runs_renewed_count'))
  local run_prefix = string.gsub(METADATA, 'metadata$', 'run:')
  local batch = redis.call('LRANGE', RUNS, -done - RENEW_BATCH, -done - 1)
  for _, run_id in ipairs(batch) do renew_run_keys(run_prefix .. run_id, longer) end
  if #batch == RENEW_BATCH then
    redis.call('HSET', METADATA, 'runs_renewed_count', done + RENEW_BATCH)
  else
    redis.call('HSET', METADATA, 'runs_renewed_ms', now)
    redis.call('HDEL', METADATA, 'runs_renewed_count')
  end
end

-- The type of an entry, so that no reader has to parse its data. Quotes inside of texts are escaped, and our own members
-- come before the arguments and results of tools: the first match is ours.
local function type_of(event, data)
  return event == 'task_agent_execute' and string.match(data, '"execute_type":"([^"]*)"') or event
end

local function first_id()
  local first = redis.call('XRANGE', STREAM, '-', '+', 'COUNT', 1)[1]
  return first and first[1]
end

local function is_later(one, other)
  local ms, seq = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_seq = string.match(other, '^(%d+)-(%d+)$')
  if not ms or not other_ms then return ms ~= nil end
  if ms ~= other_ms then return tonumber(ms) > tonumber(other_ms) end
  return tonumber(seq) > tonumber(other_seq)
end

-- Record the first id of the log, so that readers can detect a gap: entries are lost up to `log_lost_to` and text whose
-- message is not written yet up to `log_lost_text_to`; superseded text does not count. `before` is the first id until now.
-- Returns whether the log has a first id.
local function note_beginning(before)
  local now = first_id()
  if not now then return false end
  if now == before then return true end
  -- Entries removed without this record, by hand or by an earlier version, may be anything.
  if redis.call('HGET', METADATA, 'log_first_id') ~= before then redis.call('HSET', METADATA, 'log_lost_to', before) end
  redis.call('HSET', METADATA, 'log_first_id', now)
  return true
end

-- Entries beyond the limit are removed in batches, as with MAXLEN ~, which would not report them; fewer of large ones.
local TRIM_BATCH, TRIM_MOST, TRIM_MOST_BYTES, FIRST_STEP = 100, 1000, 1048576, 8
local function trim(max_length)
  if max_length == 0 then return end
  local length = redis.call('XLEN', STREAM)
  local batch = math.min(length - max_length, TRIM_MOST)
  if batch < TRIM_BATCH then return end
  -- Only the active run's messages may still be unwritten.
  local active = redis.call('HGET', METADATA, 'active_run_id')
  local lost, lost_text, oldest
  local from, seen, bytes, most = '-', 0, 0, FIRST_STEP
  while seen < batch and bytes < TRIM_MOST_BYTES do
    local step = redis.call('XRANGE', STREAM, from, '+', 'COUNT', math.min(most, batch - seen))
    if #step == 0 then break end
    for _, entry in ipairs(step) do
      if entry[2][6] == active and entry[2][8] == DELTA then lost_text = entry[1] else lost = entry[1] end
      oldest, from, seen, bytes = oldest or entry[1], '(' .. entry[1], seen + 1, bytes + #(entry[2][4] or '')
    end
    most = bytes < seen * 1024 and 50 or FIRST_STEP
  end
  if seen == 0 then return end
  redis.call('XTRIM', STREAM, 'MAXLEN', length - seen)
  note_beginning(oldest)
  if lost then redis.call('HSET', METADATA, 'log_lost_to', lost) end
  if lost_text then redis.call('HSET', METADATA, 'log_lost_text_to', lost_text) end
end

-- trim() and drop_deltas() find run_id and type by their places.
local function add_entry(stream, id, run_id, event, data, kind, is_final)
  if is_final then
    return redis.call('XADD', stream, id, 'event', event, 'data', data, 'run_id', run_id, 'type', kind, 'final', '1')
  end
  return redis.call('XADD', stream, id, 'event', event, 'data', data, 'run_id', run_id, 'type', kind)
end

-- A legacy run's entries are also on its own stream under the same ids; `legacy` is STREAM for all others. The log is
-- trimmed at each hundredth entry, more often for large entries; a caller that appends fewer trims at the end.
local appended, appended_bytes, is_delta_noted = 0, 0, false
local function append(run, legacy, max_length, run_id, event, data, is_final)
  local kind = type_of(event, data)
  local id = add_entry(STREAM, '*', run_id, event, data, kind, is_final)
  if legacy ~= STREAM then
    add_entry(legacy, id, run_id, event, data, kind, is_final)
    if max_length > 0 then redis.call('XTRIM', legacy, 'MAXLEN', '~', max_length) end
  end
  if kind == DELTA and not is_delta_noted then
    redis.call('HSETNX', run, 'deltas_from', id)
    is_delta_noted = true
  end
  -- Readers count entries, which bounds what they read as long as none of these is among them.
  if #data > LARGE_ENTRY_BYTES then redis.call('HSET', METADATA, 'log_large_to', id) end
  appended, appended_bytes = appended + 1, appended_bytes + #data
  if appended == TRIM_BATCH or appended_bytes >= TRIM_MOST_BYTES / 2 then
    trim(max_length)
    appended, appended_bytes = 0, 0
  end
  return id
end

-- Remove the text deltas of a run from the log: its complete message, or a new attempt, supersedes them.
local DROP_BATCH = 1000
local function drop_deltas(run, legacy, run_id)
  local from = redis.call('HGET', run, 'deltas_from')
  if not from then return end
  if not string.match(from, '^%d+%-%d+$') then from = '-' end
  repeat
    local page, dropped = redis.call('XRANGE', STREAM, from, '+', 'COUNT', DROP_BATCH), {}
    for _, entry in ipairs(page) do
      if entry[2][6] == run_id and entry[2][8] == DELTA then dropped[#dropped + 1] = entry[1] end
      from = '(' .. entry[1]
    end
    if #dropped > 0 then
      redis.call('XDEL', STREAM, unpack(dropped))
      if legacy ~= STREAM then redis.call('XDEL', legacy, unpack(dropped)) end
    end
  until #page < DROP_BATCH
  redis.call('HDEL', run, 'deltas_from')
  is_delta_noted = false
  redis.call('HDEL', METADATA, 'log_lost_text_to')
end

-- The run ended without the message of its text deltas: they stay, and those that were trimmed are lost.
local function keep_deltas(run)
  local found = redis.call('HMGET', METADATA, 'log_lost_text_to', 'log_lost_to')
  if not found[1] or redis.call('HEXISTS', run, 'deltas_from') == 0 then return end
  if not found[2] or is_later(found[1], found[2]) then redis.call('HSET', METADATA, 'log_lost_to', found[1]) end
  redis.call('HDEL', METADATA, 'log_lost_text_to')
end

-- Notify subscribers of new entries. PUBLISH_COMMAND is defined before this text, by who connects to Redis.
local function notify(channel, legacy_channel)
  redis.call(PUBLISH_COMMAND, channel, '')
  if legacy_channel ~= '' then redis.call(PUBLISH_COMMAND, legacy_channel, '') end
end

local function is_held(lease_until)
  return number(lease_until) > now_ms()
end

-- Make the next run of the inbox active, if `run_id` was the active one; returns its id or ''.
local function promote_next(run_id, run_prefix)
  redis.call('LREM', INBOX, 0, run_id)
  if redis.call('HGET', METADATA, 'active_run_id') ~= run_id then return '' end
  local candidate = redis.call('LPOP', INBOX)
  while candidate and field_of(run_prefix .. candidate, 'status') ~= 'pending' do
    candidate = redis.call('LPOP', INBOX)
  end
  redis.call('HSET', METADATA, 'active_run_id', candidate or '')
  return candidate or ''
end

-- The steering texts that a run has not taken are its field `steer`, [[request, message, event], …]: the next owner may be
-- of an earlier version, which reads and writes this alone. Returns the field with one more text.
local function with_steering(steer, text)
  local added = cjson.encode(text)
  -- Joined as text, so that what waits already is not decoded for each one more.
  if steer and string.sub(steer, 1, 2) == '[[' and string.sub(steer, -2) == ']]' then
    return string.sub(steer, 1, -2) .. ',' .. added .. ']'
  end
  local texts = decode(steer) or {}
  texts[#texts + 1] = text
  return cjson.encode(texts)
end

-- Move the steering texts of a run into its conversation and its log; returns the position of the first, and how many.
local function take_steering(run, legacy, run_id, max_length, event)
  local first = redis.call('LLEN', MESSAGES)
  for _, text in ipairs(decode(redis.call('HGET', run, 'steer')) or {}) do
    if type(text) == 'table' and type(text[2]) == 'string' and type(text[3]) == 'string' then
      redis.call('RPUSH', MESSAGES, text[2])
      append(run, legacy, max_length, run_id, event, text[3], false)
    end
  end
  redis.call('HDEL', run, 'steer', 'steer_count', 'steer_taken')
  return first, redis.call('LLEN', MESSAGES) - first
end

-- End the tool calls that the last owner of a run left open. The state is the active run's, so its open calls are this
-- run's if it has ever been claimed. `event` and `message` are templates, filled with each call's uuid, type, times and
-- id; '' when there are none.
local function close_open_calls(run, legacy, run_id, max_length, kind, event, message)
  if event == '' or number(redis.call('HGET', run, 'token')) == 0 then return end
  local call_event, call_message = decode(event), decode(message)
  for _, call in ipairs(decode(redis.call('HGET', STATE, 'in_flight')) or {}) do
    if type(call) == 'table' and type(call.call_id) == 'string' then
      call_event.uuid, call_event.execute_type = tostring(call.uuid), 'tool_' .. tostring(call.name)
      call_event.create_at, call_event.execute_start_at = tostring(call.began_at), tostring(call.began_at)
      call_message.tool_call_id = call.call_id
      append(run, legacy, max_length, run_id, kind, cjson.encode(call_event), false)
      redis.call('RPUSH', MESSAGES, cjson.encode(call_message))
    end
  end
  redis.call('HSET', STATE, 'in_flight', '[]')
end

-- End a run; every end goes through here. `first` is the position in ARGV of:
-- run_id, ttl, max_length, channel, legacy channel or '', now, run prefix, status, stop reason, message, usage, event, data.
-- Returns {id of the last event, next run or ''}. The caller has checked that the run may end.
local function finish(run, legacy, first)
  local run_id, ttl, max_length, channel, legacy_channel, now, run_prefix, status, reason, message, usage, event, data =
    unpack(ARGV, first, first + 12)
  -- Steering texts that came too late for this run go into the conversation that the next one reads.
  take_steering(run, legacy, run_id, tonumber(max_length), event)
  local completion_id = append(run, legacy, tonumber(max_length), run_id, event, data, true)
  trim(tonumber(max_length))
  keep_deltas(run)
  local next_run = promote_next(run_id, run_prefix)
  redis.call('HSET', METADATA, 'updated_at', now)
  redis.call('HDEL', run, 'owner', 'lease_until', 'waiting')
  redis.call('HSET', run, 'status', status, 'stop_reason', reason, 'message', message, 'usage', usage,
    'ended_at', now, 'completion_id', completion_id, 'next_run_id', next_run)
  keep_alive(ttl, run, legacy)
  notify(channel, legacy_channel)
  return {completion_id, next_run}
end
