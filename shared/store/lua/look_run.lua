-- Inspect a run. KEYS[8] the run.
-- Returns {status, end of its lease, when a cancel was asked for, its question, the thread's active run, now}.
local found = redis.call('HMGET', KEYS[8], 'status', 'lease_until', 'cancel_requested_at', 'waiting')
return {found[1], found[2], found[3], found[4], redis.call('HGET', METADATA, 'active_run_id'), now_ms()}
