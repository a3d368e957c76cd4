-- Let a list of all threads live on. KEYS[1] the list. ARGV: ttl.
return redis.call('EXPIRE', KEYS[1], ARGV[1])
