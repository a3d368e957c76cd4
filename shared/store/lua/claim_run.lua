-- Claim a run for one worker under a lease: a run that is pending and active, or one whose lease expired.
-- KEYS[8] the run. ARGV: run_id, owner, claim_id, ttl, now, run prefix, lease in milliseconds.
-- Returns {} when refused, else {run, metadata, state} as of after the claim; the owner reads the conversation.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'claim_id', 'lease_until', 'released', 'token')
local is_mine = found[1] == 'processing' and found[2] == ARGV[3]
if is_mine then
  -- The answer to the first try was lost, maybe for as long as the lease: renew it.
  if number(found[3]) - now_ms() < ARGV[7] / 2 then redis.call('HSET', run, 'lease_until', now_ms() + ARGV[7]) end
else
  local after_crash = 0
  if found[1] == 'processing' then
    if is_held(found[3]) then return {} end
    -- An owner that released the run did not crash.
    if found[4] ~= '1' then
      add(run, 'crashes', 1)
      after_crash = 1
    end
  elseif found[1] ~= 'pending' or redis.call('HGET', METADATA, 'active_run_id') ~= ARGV[1] then
    return {}
  end
  -- Higher than any before, and by the clock: a claim lost in a fail-over must not have the same token.
  local token = math.max(now_ms(), number(found[5]) + 1)
  add(run, 'attempts', 1)
  redis.call('HSETNX', run, 'started_at', ARGV[5])
  redis.call('HSET', run, 'status', 'processing', 'owner', ARGV[2], 'claim_id', ARGV[3], 'sequence', 0,
    'token', string.format('%.0f', token), 'released', 0, 'after_crash', after_crash,
    'claimed_at', ARGV[5], 'lease_until', now_ms() + ARGV[7])
  keep_alive(ARGV[4], run)
end
return {redis.call('HGETALL', run), redis.call('HGETALL', METADATA), redis.call('HGETALL', STATE)}
