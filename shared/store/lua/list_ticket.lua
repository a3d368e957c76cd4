-- Note a ticket in the list of its user. KEYS[1] the list. ARGV: the ticket, how many at most, milliseconds they live.
-- Returns those that are too many, oldest first; they stay until they are removed, so that a lost answer loses none.
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGE', KEYS[1], 0, -1 - ARGV[2])
