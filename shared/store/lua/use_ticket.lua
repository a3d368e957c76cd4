-- Use a stream ticket for its thread: it then lives on for some time, and never beyond its end. KEYS[1] the ticket.
-- ARGV: thread id, milliseconds after a use. Returns the principal, or false: unknown, expired, of another thread.
local found = redis.call('HMGET', KEYS[1], 'thread_id', 'principal', 'ends_at')
local left = number(found[3]) - now_ms()
if found[1] ~= ARGV[1] or left <= 0 then return false end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(left, ARGV[2])))
return found[2]
