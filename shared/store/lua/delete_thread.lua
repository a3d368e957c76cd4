-- Remove a thread with all its keys; many runs take further calls. Readers of its stream are notified.
-- KEYS[8] its tombstone. ARGV: run prefix, name of this removal, channel of the stream, TTL of the tombstone, '1' in the
-- first call.
-- Returns the ids of runs that were removed now, none when all are gone.
local BATCH = 1000
local left = RUNS .. ':' .. ARGV[2]
local function drop(run)
  local legacy = field_of(run, 'legacy_stream')
  if legacy then redis.call('UNLINK', legacy) end
  redis.call('UNLINK', run)
end
-- A thread with the same id may be created meanwhile: the runs left to remove are on a list of their own.
if ARGV[5] == '1' and redis.call('EXISTS', left) == 0
  and redis.call('EXISTS', METADATA, STREAM, RUNS, MESSAGES, STATE, INBOX) > 0 then
  -- First the active run, so that its owner can write no more, however many runs there are.
  local active = field_of(METADATA, 'active_run_id')
  if active then drop(ARGV[1] .. active) end
  if redis.call('TYPE', RUNS).ok == 'list' then redis.call('RENAME', RUNS, left) end
  redis.call('UNLINK', unpack(KEYS, 1, 7))
  redis.call('SET', KEYS[8], now_ms(), 'EX', ARGV[4])
  notify(ARGV[3], '')
end
local run_ids = redis.call('LRANGE', left, -BATCH, -1)
for _, run_id in ipairs(run_ids) do drop(ARGV[1] .. run_id) end
redis.call('LTRIM', left, 0, -#run_ids - 1)
return run_ids
