-- Renew a lease. KEYS[8] the run. ARGV: token, lease in milliseconds, '1' once this attempt has lasted.
-- Returns nil when the run is no longer the caller's; else when a cancel was asked for, or ''.
local run = KEYS[8]
local found = redis.call('HMGET', run, 'status', 'token', 'cancel_requested_at', 'released')
-- A renewal that was in flight while the run was released must not take it again.
if found[1] ~= 'processing' or found[2] ~= ARGV[1] or found[4] == '1' then return false end
redis.call('HSET', run, 'lease_until', now_ms() + ARGV[2])
-- Only consecutive crashes count: an attempt that has lasted resets them.
if ARGV[3] == '1' then redis.call('HSET', run, 'crashes', 0) end
return found[3] or ''
