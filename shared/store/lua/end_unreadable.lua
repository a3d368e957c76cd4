-- End a run whose records cannot be read. KEYS[8] the run, KEYS[9] its legacy stream or the stream again.
-- ARGV: token or id of the caller's claim, or '' when nobody could claim it; what finish() takes; then the event and the
-- message that close_open_calls() takes.
-- Returns nil when it has ended, is gone, or is another worker's, else what finish() returns.
local run, legacy = KEYS[8], KEYS[9]
local kind = redis.call('TYPE', run).ok
if kind == 'none' then return false end
if kind == 'hash' then
  local found = redis.call('HMGET', run, 'status', 'lease_until', 'completion_id', 'next_run_id', 'stop_reason', 'token',
    'claim_id')
  if found[3] then return found[5] == ARGV[10] and {found[3], found[4] or ''} or false end
  local is_mine = ARGV[1] ~= '' and (found[6] == ARGV[1] or found[7] == ARGV[1])
  if not is_mine and found[1] == 'processing' and is_held(found[2]) then return false end
end
-- A key of the wrong type cannot be read by anyone, and writing the end to it would fail.
local function drop_unless(key, expected)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= expected then redis.call('UNLINK', key) end
  return found == expected
end
local kinds = {'hash', 'stream', 'list', 'list', 'hash', 'list', 'hash'}
for index = 2, 7 do drop_unless(KEYS[index], kinds[index]) end
drop_unless(run, 'hash')
drop_unless(legacy, 'stream')
-- Without the thread's record this run counts as the active one, so that the runs queued after it are promoted.
if not drop_unless(METADATA, 'hash') then redis.call('HSET', METADATA, 'active_run_id', ARGV[2]) end
close_open_calls(run, legacy, ARGV[2], tonumber(ARGV[4]), ARGV[13], ARGV[15], ARGV[16])
add(run, 'token', 1)
return finish(run, legacy, 2)
