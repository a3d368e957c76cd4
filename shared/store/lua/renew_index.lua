-- Extend the TTL of the list of all threads. KEYS[1] the list. ARGV: ttl.
return redis.call('EXPIRE', KEYS[1], ARGV[1])
